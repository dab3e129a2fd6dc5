#!/usr/bin/env node
import { main } from '../dist/main.js';

await main('build_faiss_index', process.argv.slice(2));
