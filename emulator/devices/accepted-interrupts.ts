import type { StateReader, StateWriter } from './device';
import { VectorSet } from './vector-set';

const CLASS = 0xf0;

/** IRR, ISR and the priorities: which fixed interrupt a local APIC would deliver now (SDM vol. 3, 12.8). */
export class AcceptedInterrupts {
  readonly requests = new VectorSet();
  readonly inService = new VectorSet();
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

  /** PPR (12.8.3.1) */
  get processorPriority(): number {
    const serving = Math.max(this.inService.highest(), 0) & CLASS;
    return (this.taskPriorityRegister & CLASS) >= serving ? this.taskPriorityRegister : serving;
  }

  accept(vector: number): void {
    this.requests.add(vector);
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

  /** EOI: the highest vector in service is done. */
  end(): void {
    const vector = this.inService.highest();
    if (vector >= 0) this.inService.remove(vector);
    this.evaluate();
  }

  reset(): void {
    this.requests.clear();
    this.inService.clear();
    this.taskPriority = 0;
  }

  save(out: StateWriter): void {
    for (const set of [this.requests, this.inService]) for (const word of set.words) out.u32(word);
    out.u32(this.taskPriorityRegister);
  }

  restore(from: StateReader): void {
    for (const set of [this.requests, this.inService]) for (let i = 0; i < 8; i++) set.words[i] = from.u32();
    this.taskPriority = from.u32();
  }

  private evaluate(): void {
    const vector = this.requests.highest();
    this.deliverable = vector >= 0 && (vector & CLASS) > (this.processorPriority & CLASS) ? vector : -1;
  }
}
