// The node's REST answers, asked for again and again while the page is seen.
import { headers, wanted } from './token';

export interface TableInfo {
  name: string;
  kind: string;
  rows?: number;
  offset?: number | string;
  epoch?: string;
}
export interface JobRun {
  run?: number;
  status?: string;
  started?: unknown;
  ended?: unknown;
  duration_ms?: number;
  read?: number;
  total?: number | null; // of one under way: rows to read
  rows_per_s?: number;
  left_ms?: number | null;
  written?: number;
  message?: string;
}
export interface JobInfo {
  name: string;
  trigger?: string; // in words
  running?: boolean;
  present?: JobRun | null; // under way
  last?: JobRun | null;
  history?: JobRun[]; // newest first
  next_fire?: unknown;
  runs?: number;
}
export interface PartitionInfo {
  partition: number;
  position: number;
  lag: number;
  state: string;
  message?: string;
}
export interface SourceInfo {
  name: string;
  topic: string;
  state?: string;
  message?: string;
  records_per_s?: number;
  dead_letters?: number;
  partitions?: PartitionInfo[];
}
export interface NodeInfo {
  name: string;
  version?: string;
  uptime_s?: number;
  ready?: boolean;
  waiting?: unknown[];
  memory_bytes?: number;
  cpu_percent?: number;
  sessions?: number;
  sources?: SourceInfo[];
  redis?: { connected?: boolean } & Record<string, unknown>;
  tables?: unknown[];
}

export class ApiError extends Error {
  // status: of the answer; none: there was no answer.
  constructor(message: string, readonly status?: number) {
    super(message);
  }
}

export async function ask<Answer>(path: string, method = 'GET'): Promise<Answer> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), method === 'GET' ? 8000 : 60000);
  try {
    const response = await fetch(path, { method, signal: abort.signal, cache: 'no-store', headers: { accept: 'application/json', ...headers() } });
    const body: unknown = await response.json().catch(() => null);
    if (!response.ok) {
      // A failed run is told like a good one, with its own message.
      const said = body as { error?: { message?: string }; message?: string } | null;
      if (response.status === 401) wanted(said?.error?.message ?? '');
      throw new ApiError(said?.error?.message ?? said?.message ?? `the node answered ${response.status}`, response.status);
    }
    return body as Answer;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(abort.signal.aborted ? 'the node did not answer in time' : 'the node cannot be reached');
  } finally {
    clearTimeout(timer);
  }
}

// Asks every `period` ms, slower (with jitter) while it fails, not at all while the page is hidden. Not any more after a
// 403, which another token alone can change: the function that is returned asks again.
export function poll<Answer>(path: string, period: number, good: (answer: Answer) => void, bad: (message: string) => void): () => void {
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let under = false;
  let again = false;
  let forbidden = false;
  const once = async () => {
    clearTimeout(timer);
    if (under) {
      again = true;
      return;
    }
    if (document.hidden) return;
    under = true;
    try {
      good(await ask<Answer>(path));
      failures = 0;
    } catch (error) {
      failures++;
      forbidden = error instanceof ApiError && error.status === 403;
      bad(error instanceof Error ? error.message : String(error));
    }
    under = false;
    if (forbidden && !again) return;
    const wait = failures ? Math.min(15000, period * 2 ** Math.min(failures, 4)) * (0.7 + 0.6 * Math.random()) : period;
    timer = setTimeout(() => void once(), again ? 0 : wait);
    again = false;
  };
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !forbidden) void once();
  });
  void once();
  return () => {
    forbidden = false;
    void once();
  };
}

export const runsOf = (job: JobInfo): JobRun[] => job.history ?? (job.last ? [job.last] : []);
