/** Processor seconds and seconds of a function: those of the run with the least processor time. */
export async function measure(runs, run) {
  let best;
  for (let i = 0; i < runs; i++) {
    const cpu = process.cpuUsage();
    const start = performance.now();
    await run();
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const cpuSeconds = (user + system) / 1e6;
    if (best === undefined || cpuSeconds < best.cpuSeconds) best = { cpuSeconds, seconds };
  }
  return best;
}
