import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** One running process, told apart from a later one with the same number. */
export interface ProcessIdentity {
  /** Process number. */
  readonly pid: number;
  /** Name of the machine, for people. */
  readonly host: string;
  /**
   * Where the number means something: the boot of the machine and its process namespace (a container has its own), or
   * the machine's name where the system does not say.
   */
  readonly scope: string;
  /** When the process started, in the system's own count; empty where the system does not say. */
  readonly started: string;
}

/** This process. */
export function currentProcess(): ProcessIdentity {
  return { pid: process.pid, host: hostname(), scope: processScope(), started: startOf(process.pid) ?? '' };
}

/**
 * Whether a process is still alive, or `undefined` if that cannot be told from here (another machine or container).
 */
export function isAlive(other: ProcessIdentity): boolean | undefined {
  if (other.scope !== processScope()) return undefined;
  if (other.started !== '') return startOf(other.pid) === other.started;
  try {
    process.kill(other.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function processScope(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/** Start time in clock ticks since boot (field 22 of `/proc/PID/stat`); nothing for a process that is gone or a zombie. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses, which may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
