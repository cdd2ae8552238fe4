import { finish, type Moment, type Task, type Timeline } from '../../emulator/timeline/api';
import { defer } from '../session/defer';
import { cancelled } from '../session/errors';
import { Progress, type ProgressEvents } from './progress';

/** How long a task works before the event loop gets its turn. */
const SLICE_MS = 12;

export interface TaskOptions {
  /** What is done, for whoever waits: "Step back" */
  readonly title: string;
  /** The request that is answered by the result, by which it can be cancelled too */
  readonly requestId?: number;
  /** The machine stays where the task leaves it; otherwise it goes back to where it was, as after a question. */
  readonly stay?: boolean;
}

/** What the session does around a task. */
export interface TaskHooks {
  readonly events: ProgressEvents;
  /** Breakpoints and arrivals as they were, and what to do when the machine is back or has moved */
  keep(): (moved: boolean) => void;
}

interface Active {
  readonly requestId: number | undefined;
  readonly progress: Progress;
  cancelled: boolean;
  abandoned: boolean;
}

/**
 * Drives what takes its time in the past, one task at a time: in slices with the event loop between them, with progress
 * for the client, and so that it can be cancelled. After a cancel or a failure the machine is where it was before.
 */
export class TaskRunner {
  private active: Active | undefined;
  private ordinal = 0;
  private left = false;

  constructor(
    private readonly timeline: Pick<Timeline, 'now' | 'seek'>,
    private readonly hooks: TaskHooks,
  ) {}

  /** Whether the last task was left where it was */
  get abandoned(): boolean {
    return this.left;
  }

  get running(): boolean {
    return this.active !== undefined;
  }

  /** Rejects with RequestError `cancelled` after a cancel, and with whatever the task throws. */
  async run<R>(task: Task<R>, { title, requestId, stay = false }: TaskOptions): Promise<R> {
    if (this.active) throw new Error('another task moves the machine already');
    const id = `undervisor-${++this.ordinal}`;
    const active: Active = {
      requestId,
      progress: new Progress(this.hooks.events, id, title, requestId),
      cancelled: false,
      abandoned: false,
    };
    this.active = active;
    const origin = this.timeline.now;
    const restore = this.hooks.keep();
    let whole = false;
    try {
      const result = await this.drive(task, active);
      whole = true;
      return result;
    } finally {
      if (!active.abandoned) this.settle(origin, stay && whole, restore);
      active.progress.end();
      this.active = undefined;
    }
  }

  /** Cancels the task that is under way. False: it is not this one. Without ids: whichever it is */
  cancel({ requestId, progressId }: { requestId?: number; progressId?: string } = {}): boolean {
    const { active } = this;
    if (!active) return false;
    const meant =
      (requestId === undefined && progressId === undefined) ||
      (requestId !== undefined && requestId === active.requestId) ||
      (progressId !== undefined && progressId === active.progress.id);
    if (meant) active.cancelled = true;
    return meant;
  }

  /** The machine is not needed any more: ends the task and leaves it where it is. */
  abandon(): void {
    if (this.active) this.left = this.active.cancelled = this.active.abandoned = true;
  }

  private settle(origin: Moment, stay: boolean, restore: (moved: boolean) => void): void {
    // A replay from the last landmark: short, and not to be interrupted.
    if (!stay && this.timeline.now !== origin) finish(this.timeline.seek(origin));
    restore(this.timeline.now !== origin);
  }

  private async drive<R>(task: Task<R>, active: Active): Promise<R> {
    for (;;) {
      const end = performance.now() + SLICE_MS;
      let fraction = 0;
      do {
        const next = task.next();
        if (next.done) return next.value;
        fraction = next.value;
      } while (performance.now() < end);
      active.progress.at(fraction);
      await new Promise<void>(defer);
      if (active.cancelled) {
        // Its `finally` blocks run.
        task.return(undefined as never);
        throw cancelled();
      }
    }
  }
}
