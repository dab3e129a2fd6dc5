import { join } from 'node:path';
import { INDEX_FILE, KnnIndex, measureIndex, type IndexStatistics, type ListStatistics } from '@knn-lm/index';
import { datastoreShapeOptions } from '../options/datastore-tools.js';
import { flag, int, str } from '../options/option.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { formatTable } from '../terminal/table.js';
import { openTerminal } from '../terminal/terminal.js';
import { UsageError } from '../terminal/usage-error.js';
import { optional } from './lm-task.js';
import { openDatastore } from './neighbors.js';

const commandLine: CommandLine = {
  program: 'knn-lm index-stats',
  description:
    'Measures the index of a datastore: balance of its lists, memory, and what it finds of the exact neighbours.',
  positionals: { datastore: 'folder of the datastore' },
  options: [
    ...datastoreShapeOptions('without a manifest'),
    int('--queries', 100, 'keys drawn as queries; 0 measures no recall and reads no keys'),
    str('--num-neighbors', null, 'numbers of neighbours to measure recall at (default: 1 10 100 1024)', {
      nargs: '+',
    }),
    str('--nprobe', null, "numbers of lists to visit (default: 1 8 32 128 and the index's own)", {
      nargs: '+',
    }),
    int('--seed', 1, 'seed of the draw'),
    int('--threads', null, 'threads (default: one a core)'),
    flag('--map', 'leave the lists on disk, mapped: for an index larger than memory'),
    flag('--trust-index', 'read an index of a kind that cannot be checked although it was not built here'),
  ],
};

/** `knn-lm index-stats`. */
export const indexStatsCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const queries = values['queries'] as number;
    const ks = numbers(values['num_neighbors'], '--num-neighbors');
    const nprobes = numbers(values['nprobe'], '--nprobe');
    const threads = optional(values['threads'] as number | null);
    const { log, progress } = openTerminal(context, values);
    const logger = log.named('knn_lm.index_stats');
    const datastore = await openDatastore(values, queries > 0, logger);
    try {
      const path = join(datastore.folder, INDEX_FILE);
      const index = await KnnIndex.open(path, {
        threads,
        map: values['map'] === true,
        trust: values['trust_index'] === true,
        logger,
      });
      try {
        const statistics = await measureIndex(index, datastore, {
          queries,
          ks,
          nprobes,
          seed: values['seed'] as number,
          threads,
          signal: context.signal,
          onProgress: progress.report,
        });
        progress.close();
        context.print(describe(path, statistics));
        return statisticsResult(path, statistics);
      } finally {
        index.close();
      }
    } finally {
      progress.close();
      datastore.close();
    }
  },
};

function statisticsResult(path: string, statistics: IndexStatistics) {
  const { description, size, fileBytes, memoryBytes, lists, queries, recall } = statistics;
  return {
    path,
    index: description,
    entries: size,
    bytes: fileBytes,
    memory_bytes: memoryBytes ?? null,
    lists:
      lists === undefined
        ? null
        : {
            count: lists.lists,
            empty: lists.empty,
            mean: lists.mean,
            imbalance: lists.imbalance,
            percentiles: lists.percentiles.map(([percent, keys]) => ({ percent, keys })),
          },
    queries,
    recall: recall.flatMap(({ nprobe, recalls, millisecondsPerQuery }) =>
      recalls.map(([k, part]) => ({
        nprobe: nprobe ?? null,
        k,
        recall: part,
        milliseconds_per_query: millisecondsPerQuery,
      })),
    ),
  };
}

function numbers(value: unknown, name: string): number[] | undefined {
  if (value === null) return undefined;
  return (value as readonly string[]).map((text) => {
    if (/^\d+$/.test(text) && Number(text) >= 1) return Number(text);
    throw new UsageError(`argument ${name}: not a whole number of 1 or more: '${text}'`, '');
  });
}

function describe(path: string, statistics: IndexStatistics): string {
  const { description, size, fileBytes, memoryBytes, lists } = statistics;
  const perKey = (bytes: number): string => `${megabytes(bytes)} (${(bytes / size).toFixed(1)} bytes a key)`;
  return [
    `${path}: ${description}`,
    `file ${perKey(fileBytes)}, memory ${memoryBytes === undefined ? 'unknown' : perKey(memoryBytes)}`,
    ...(lists === undefined ? ['no lists: every search looks at every key'] : describeLists(lists)),
    ...describeRecall(statistics),
    '',
  ].join('\n');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toLocaleString('en-US', { maximumFractionDigits: 1 })} MB`;
}

function describeLists({ lists, empty, mean, imbalance, percentiles }: ListStatistics): string[] {
  const table = formatTable(
    [
      { head: 'keys in a list' },
      ...percentiles.map(([percent]) => ({ head: percentName(percent), align: 'right' as const })),
    ],
    [['', ...percentiles.map(([, size]) => size.toLocaleString('en-US'))]],
  );
  return [
    `${lists.toLocaleString('en-US')} lists of ${mean.toFixed(1)} keys on average, ${empty.toLocaleString('en-US')} empty; imbalance ${imbalance.toFixed(2)} (1 is even: a search scans that many times as many keys)`,
    table,
  ];
}

function percentName(percent: number): string {
  if (percent === 0) return 'least';
  if (percent === 50) return 'median';
  return percent === 100 ? 'most' : `${percent} %`;
}

function describeRecall({ queries, recall }: IndexStatistics): string[] {
  if (recall.length === 0) return [];
  const ks = recall[0].recalls.map(([k]) => k);
  const heads = ['nprobe', ...ks.map((k) => `recall@${k}`), 'ms a query'];
  const table = formatTable(
    heads.map((head) => ({ head, align: 'right' })),
    recall.map(({ nprobe, recalls, millisecondsPerQuery }) => [
      nprobe ?? '-',
      ...recalls.map(([, part]) => part.toFixed(3)),
      millisecondsPerQuery.toFixed(2),
    ]),
  );
  return [
    table,
    `${queries.toLocaleString('en-US')} keys drawn as queries, each compared with every other key`,
  ];
}
