import { MessageChannel } from 'node:worker_threads';

const { port1: nowhere, port2: other } = new MessageChannel();
other.close();

/**
 * Frees the memory of an array at once; V8 would do it some time after the array's last use. A message to a port that is
 * closed is dropped, and the memory that was transferred with it. (`ArrayBuffer.prototype.transfer` needs Node 22.)
 *
 * @param buffer - becomes empty
 */
export function freeBuffer(buffer: ArrayBuffer): void {
  nowhere.postMessage(undefined, [buffer]);
}
