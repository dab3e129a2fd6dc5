// Runs the tests and the linters of all packages through Nx, and ends with one line that counts the tests.
import { spawn } from 'node:child_process';

const targets = process.argv.length > 2 ? process.argv.slice(2) : ['test', 'lint'];
const child = spawn('npx', ['nx', 'run-many', '-t', ...targets, '--outputStyle=static'], {
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { ...process.env, NX_TUI: 'false', FORCE_COLOR: '0', npm_config_loglevel: 'error' },
});
let printed = '';
child.stdout.setEncoding('utf8');
child.stdout.on('data', (text) => {
  printed += text;
  process.stdout.write(text);
});
child.on('close', (code) => {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  // Vitest's closing lines: `Tests  3 failed | 7 passed | 2 skipped (12)`.
  for (const [, line] of printed.matchAll(/^\s*Tests\s+(.*)\(\d+\)/gm)) {
    for (const [, count, kind] of line.matchAll(/(\d+) (passed|failed|skipped)/g))
      counts[kind] += Number(count);
  }
  console.log(`\nTests: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = code ?? 1;
});
