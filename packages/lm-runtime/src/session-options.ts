import type { InferenceSession } from 'onnxruntime-node';
import type { SessionSpecification } from './messages.js';

/** ONNX Runtime prints its messages on stderr below this; what fails is thrown as well. */
export const fatalOnly = 4;

/** How a session is opened. */
export function sessionOptions({
  graph,
  device,
  threads,
}: SessionSpecification): InferenceSession.SessionOptions {
  return {
    executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
    intraOpNumThreads: threads,
    graphOptimizationLevel: 'all',
    // A pattern keeps room for each shape that has been seen; our parts have many. 40 MB less, no slower.
    enableMemPattern: false,
    extra: {
      session: {
        // Threads that spin while they wait cost 3/4 of the speed when anything else runs, such as a search, and gain 8
        // to 19 % when nothing does (2 cores, 5 million parameters).
        intra_op: { allow_spinning: '0' },
        // The graph comes from memory, its weights from here.
        model_external_initializers_file_folder_path: graph.folder,
        // Without VNNI the fast product of 8-bit numbers overflows 16 bits and saturates: a slower one is used there.
        x64quantprecision: '1',
      },
    },
    logSeverityLevel: fatalOnly,
  };
}
