import type { StateReader, StateWriter } from './device';
import { VectorSet } from './vector-set';

const CLASS = 0xf0;

/** IRR, ISR, TMR and the priorities: which fixed interrupt a local APIC would deliver now (SDM vol. 3, 11.8). */
export class AcceptedInterrupts {
  readonly requests = new VectorSet();
  readonly inService = new VectorSet();
  readonly levelTriggered = new VectorSet();
  private readonly sets = [this.requests, this.inService, this.levelTriggered];
  private taskPriorityRegister = 0;
  /** Highest request whose class is above the processor priority's, or -1; kept, because it is asked for all the time */
  deliverable = -1;

  /** TPR, 8 bits */
  get taskPriority(): number {
    return this.taskPriorityRegister;
  }

  set taskPriority(value: number) {
    this.taskPriorityRegister = value;
    this.evaluate();
  }

  /** PPR (11.8.3.1) */
  get processorPriority(): number {
    const serving = Math.max(this.inService.highest(), 0) & CLASS;
    return (this.taskPriorityRegister & CLASS) >= serving ? this.taskPriorityRegister : serving;
  }

  /** APR (11.6.2.4): what counts when processors compete for a lowest-priority interrupt */
  get arbitrationPriority(): number {
    const task = this.taskPriorityRegister;
    const request = Math.max(this.requests.highest(), 0) & CLASS;
    const serving = Math.max(this.inService.highest(), 0) & CLASS;
    if ((task & CLASS) >= request && (task & CLASS) > serving) return task;
    return Math.max(task & CLASS & serving, request, serving);
  }

  accept(vector: number, levelTriggered: boolean): void {
    this.requests.add(vector);
    if (levelTriggered) this.levelTriggered.add(vector);
    else this.levelTriggered.remove(vector);
    this.evaluate();
  }

  /** Moves `deliverable` from IRR to ISR and returns it. */
  acknowledge(): number {
    const vector = this.deliverable;
    this.requests.remove(vector);
    this.inService.add(vector);
    this.evaluate();
    return vector;
  }

  /** EOI: the highest vector in service is done. @returns it, or -1 when there was none */
  end(): number {
    const vector = this.inService.highest();
    if (vector >= 0) this.inService.remove(vector);
    this.evaluate();
    return vector;
  }

  reset(): void {
    this.requests.clear();
    this.inService.clear();
    this.levelTriggered.clear();
    this.taskPriority = 0;
  }

  save(out: StateWriter): void {
    for (const set of this.sets) for (const word of set.words) out.u32(word);
    out.u32(this.taskPriorityRegister);
  }

  restore(from: StateReader): void {
    for (const set of this.sets) for (let i = 0; i < 8; i++) set.words[i] = from.u32();
    this.taskPriority = from.u32();
  }

  private evaluate(): void {
    const vector = this.requests.highest();
    this.deliverable = vector >= 0 && (vector & CLASS) > (this.processorPriority & CLASS) ? vector : -1;
  }
}
