import { KnnLmError } from '@knn-lm/common';
import { doctorOptions } from '../options/doctor.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { duration } from '../terminal/progress.js';
import { formatTable } from '../terminal/table.js';
import { openTerminal } from '../terminal/terminal.js';
import { planRun, probeFolder, type Plan } from './doctor-plan.js';
import { describeSystem, type System } from './doctor-system.js';

const commandLine: CommandLine = {
  program: 'knn-lm doctor',
  description:
    'Says what is installed and what this machine has; with a text and a model also what a run would need and take.',
  positionals: { data: { help: 'folder made by fairseq-preprocess', optional: true } },
  options: doctorOptions,
};

/** `knn-lm doctor`. */
export const doctorCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const datastore = values['datastore'] as string | null;
    const system = await describeSystem(datastore ?? '.');
    context.print(describe(system));
    if (values['data'] === null && values['path'] === null) return { ...system, plan: null };
    if (values['data'] === null || values['path'] === null) {
      throw new KnnLmError(
        'DOCTOR_NEEDS_BOTH',
        'a run is estimated from a text and a model; one is missing',
        {
          hint: 'Give both: knn-lm doctor DATA_BIN --path MODEL.',
        },
      );
    }
    // Its lines about data and model are those of the commands, and of no interest here.
    const { log, progress } = openTerminal(context, { ...values, quiet: true });
    const logger = log.named('knn_lm.doctor');
    try {
      const plan = await planRun(values, probeFolder(system.resources.folder, datastore), {
        signal: context.signal,
        onProgress: progress.report,
        logger,
        dataLogger: logger,
        taskLogger: logger,
      });
      progress.close();
      const verdict = judge(plan, system);
      context.print(describePlan(plan, system, verdict));
      return { ...system, plan: planResult(plan, verdict) };
    } finally {
      progress.close();
    }
  },
};

/** Whether there is enough of everything. */
function judge({ sizes, run, finished }: Plan, { resources }: System) {
  const disk = sizes.disk - (finished.generate ? sizes.datastore : 0);
  const memory = Math.max(sizes.generateMemory, sizes.buildMemory, sizes.evaluateMemory);
  return {
    disk_needed_bytes: disk,
    disk_suffices: disk <= resources.disk_free_bytes,
    memory_needed_bytes: memory,
    memory_suffices: memory <= resources.memory_available_bytes,
    keys_fit_in_memory: run.recomputeDistance
      ? sizes.evaluateMemory + sizes.keys <= resources.memory_available_bytes
      : null,
  };
}

type Verdict = ReturnType<typeof judge>;

function planResult({ run, text, evaluation, sizes, stages, finished, othersShare }: Plan, verdict: Verdict) {
  return {
    entries: run.rows,
    dimension: run.dimension,
    datastore_split: text.split,
    evaluated_split: evaluation.split,
    evaluated_tokens: evaluation.tokens,
    datastore_bytes: sizes.datastore,
    index_bytes: sizes.index,
    memory_bytes: {
      generate: sizes.generateMemory,
      build: sizes.buildMemory,
      evaluate: sizes.evaluateMemory,
    },
    seconds: stages,
    datastore_is_there: finished.generate,
    index_is_there: finished.index,
    others_share: othersShare,
    ...verdict,
  };
}

function describe(system: System): string {
  const { versions, system: os, cpu, faiss, distances, devices, resources } = system;
  const features = cpu.features === null ? '' : `, ${cpu.features.join(' ') || 'no vector instructions'}`;
  const reason = distances.reason === null ? '' : ` (${distances.reason})`;
  const rows = [
    ['knn-lm', versions.knn_lm],
    ['Node.js', `${versions.node}, ${os.platform} ${os.release} ${os.architecture}`],
    ['processor', `${cpu.model ?? 'unknown'}, ${cpu.cores} cores${features}`],
    ['ONNX Runtime', versions.onnxruntime],
    ...devices.map(({ name, works, reason }) => [`  ${name}`, works ? 'works' : `no: ${reason ?? ''}`]),
    ['Faiss', describeFaiss(faiss)],
    ['distances', `${distances.engine}, ${distances.kernels[0]}${reason}`],
    ['disk', `${gigabytes(resources.disk_free_bytes)} free in ${resources.folder}`],
    [
      'memory',
      `${gigabytes(resources.memory_available_bytes)} available of ${gigabytes(resources.memory_total_bytes)}`,
    ],
  ];
  return `${rows.map(([name, text]) => `${name.padEnd(14)}${text}`).join('\n')}\n`;
}

function describeFaiss({ version, optimization, open_blas: blas, problem }: System['faiss']): string {
  if (version === null) return `no: ${problem ?? ''}`;
  const build = optimization === 'avx2' ? 'built with AVX2' : 'built for any processor of this kind';
  return `${version}, ${build}${blas === null ? '' : `, ${blas}`}`;
}

function describePlan(plan: Plan, system: System, verdict: Verdict): string {
  const { run, text, evaluation, sizes, stages, finished } = plan;
  const there = (is: boolean) => (is ? 'is there' : '');
  const table = formatTable(
    [
      { head: 'stage' },
      { head: 'time', align: 'right' },
      { head: 'on disk', align: 'right' },
      { head: 'memory', align: 'right' },
      { head: '' },
    ],
    [
      [
        `datastore of ${text.split}`,
        time(stages.generate),
        gigabytes(sizes.datastore),
        gigabytes(sizes.generateMemory),
        there(finished.generate),
      ],
      ['train the index', time(stages.train), '', gigabytes(sizes.buildMemory), there(finished.index)],
      ['add the keys', time(stages.add), gigabytes(sizes.index), '', ''],
      [`evaluate ${evaluation.split}`, time(stages.evaluate), '', gigabytes(sizes.evaluateMemory), ''],
    ],
  );
  const count = (value: number) => value.toLocaleString('en-US');
  return [
    '',
    `${count(run.rows)} entries of ${run.dimension} dimensions; ${count(evaluation.tokens)} tokens to evaluate with ${count(plan.k)} neighbours`,
    table,
    ...describeVerdict(plan, system, verdict),
    `Estimated from a short measurement, while other programs used ${Math.round(100 * plan.othersShare)} % of the processors${plan.othersShare > 0.1 ? ': an idle machine is faster' : ''}.`,
    '',
  ].join('\n');
}

function describeVerdict({ sizes }: Plan, { resources }: System, verdict: Verdict): string[] {
  const enough = (is: boolean) => (is ? 'enough' : 'NOT ENOUGH');
  const lines = [
    `disk: ${gigabytes(verdict.disk_needed_bytes)} needed at most, ${gigabytes(resources.disk_free_bytes)} free: ${enough(verdict.disk_suffices)}`,
    `memory: ${gigabytes(verdict.memory_needed_bytes)} needed at most, ${gigabytes(resources.memory_available_bytes)} available: ${enough(verdict.memory_suffices)}`,
  ];
  if (verdict.keys_fit_in_memory === false) {
    lines.push(
      `--recompute-distance reads keys at random, and ${gigabytes(sizes.keys)} of them do not fit into memory: the disk decides how long evaluating takes`,
    );
  }
  return lines;
}

/** To the tenth of a second where that matters. */
function time(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

function gigabytes(bytes: number): string {
  const size = bytes / 1e9;
  return `${size.toLocaleString('en-US', { maximumFractionDigits: size < 10 ? 2 : 0 })} GB`;
}
