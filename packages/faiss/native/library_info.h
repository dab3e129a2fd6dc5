// Which Faiss and which BLAS the addon was linked with.
#pragma once

#include <napi.h>

// {version, compileOptions, blas}; blas is empty when it is not OpenBLAS.
Napi::Object libraryInfo(Napi::Env env);
