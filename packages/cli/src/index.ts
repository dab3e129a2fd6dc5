/**
 * The commands of knn-lm, for programs that start them: `main('eval_knn_lm', argv)`.
 *
 * @packageDocumentation
 */
export { main } from './main.js';
