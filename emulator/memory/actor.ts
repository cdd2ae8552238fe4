/** Who reads or writes RAM: what a watch of memory tells beside the instruction that was under way. */
export const enum Actor {
  /** The instruction itself, in generated code or as a helper */
  Instruction,
  /** Delivery of an interrupt or exception: what it pushes, what it reads of tables */
  Delivery,
  /** `MachineMemory.actorDetail`: the exit reason */
  VmExit,
  VmEntry,
  /** Accessed and dirty flags, and the page-modification log */
  Walk,
  /** `MachineMemory.actorDetail`: the PCI requester ID, or -1 when the device has none */
  Device,
  Debugger,
}
