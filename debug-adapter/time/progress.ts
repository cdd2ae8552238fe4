/** Where progress goes. */
export interface ProgressEvents {
  /** False: the client shows none, and nothing is sent */
  readonly wanted: boolean;
  emit(event: string, body: object): void;
}

/** What is over sooner is not worth a word. */
const PATIENCE_MS = 200;
const INTERVAL_MS = 250;

/** DAP progress of one task: begins when it has lasted, and ends once. */
export class Progress {
  private readonly began = performance.now();
  private told = 0;
  private shown = false;

  constructor(
    private readonly events: ProgressEvents,
    readonly id: string,
    private readonly title: string,
    private readonly requestId?: number,
  ) {}

  /** `fraction` from 0 to 1 */
  at(fraction: number): void {
    const now = performance.now();
    if (!this.events.wanted || now - this.began < PATIENCE_MS) return;
    const percentage = Math.round(Math.min(Math.max(fraction, 0), 1) * 100);
    const { id: progressId, title, requestId } = this;
    if (!this.shown) {
      this.shown = true;
      const request = requestId === undefined ? {} : { requestId };
      this.events.emit('progressStart', { progressId, title, ...request, cancellable: true, percentage });
    } else if (now - this.told < INTERVAL_MS) return;
    else this.events.emit('progressUpdate', { progressId, percentage });
    this.told = now;
  }

  end(): void {
    if (this.shown) this.events.emit('progressEnd', { progressId: this.id });
  }
}
