/** A wire from a device to an interrupt controller's input. */
export interface InterruptLine {
  set(asserted: boolean): void;
}
