// The part of the WebAssembly JavaScript interface that is used here; the library of ES2023 does not declare it.

/** A compiled module, which can be sent to other threads. */
export interface WasmModule {
  readonly [Symbol.toStringTag]: string;
}

/** Memory that threads share; it can be sent to them. */
export interface WasmMemory {
  /** What there is of it now. */
  readonly buffer: SharedArrayBuffer;
}

/** A number that a module exports. */
export interface WasmGlobal {
  readonly value: number;
}

interface Interface {
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Memory: new (pages: { initial: number; maximum: number; shared: true }) => WasmMemory;
  readonly Instance: new (module: WasmModule, imports: object) => { readonly exports: object };
}

const { Module, Memory, Instance } = (globalThis as unknown as { readonly WebAssembly: Interface })
  .WebAssembly;

/** @param bytes - of a `.wasm` file */
export function compileModule(bytes: Uint8Array): WasmModule {
  return new Module(bytes);
}

/**
 * Shared memory of `initial` pages, which can grow to all that 32-bit addresses reach (4 GiB).
 *
 * @returns the memory; `undefined` where the engine may not reserve so many addresses (`ulimit -v`)
 */
export function sharedMemory(initial: number): WasmMemory | undefined {
  try {
    return new Memory({ initial, maximum: 65_536, shared: true });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** A thread's own instance of a module: its functions and global numbers. */
export function instantiate<Exports extends object>(module: WasmModule, memory: WasmMemory): Exports {
  return new Instance(module, { env: { memory } }).exports as Exports;
}
