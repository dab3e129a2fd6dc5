import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** What every package's tests share: files beside the source, no stray console output, generous time on busy machines. */
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: [fileURLToPath(new URL('tools/vitest-temporary.ts', import.meta.url))],
    setupFiles: [fileURLToPath(new URL('tools/vitest-setup.ts', import.meta.url))],
    environment: 'node',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
    reporters: ['default'],
  },
});
