/**
 * Takes `Float16Array`, which Node 24 brought, away from this thread. Where it is there, onnxruntime-common wants it for
 * half-precision tensors, and the binding of onnxruntime-node 1.27 takes such an array for one without bytes ("not enough
 * space: expected 65536, got 0"). Without it half precision is `Uint16Array`, as everywhere here. Works before the first
 * tensor is made.
 */
export function hideFloat16Array(): void {
  Reflect.deleteProperty(globalThis, 'Float16Array');
}
