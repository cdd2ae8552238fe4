import type { EngineControl, EngineExit } from '../engine/host';
import type { Instruction } from '../isa/instruction';

/**
 * Secrecy tracking as a processor sees it: which bits of registers and of RAM depend on a secret is kept by
 * machine/secrecy/. Code that holds no secret in its registers runs as ever; an access to a secret byte is refused once
 * (FaultKind.Secret), and its instruction is then executed with secrecy moved along, as are all that follow while a
 * register holds a secret.
 */
export interface Secrecy {
  /** Registers hold secrets, and whoever runs is one whose secrets are followed. */
  readonly follows: boolean;
  /** Runs the engine with secrecy moved along. */
  track(engine: EngineControl, budget: number, skipBreakpoint: boolean): EngineExit;
  /** An access was translated to this page of RAM (wasm address; guest-physical page number), and generated code is about to learn the way. */
  touching(ramPage: number, guestPage: number): void;
  /**
   * An instruction loads from RAM at this wasm address, or (negative) from a device.
   * @returns whether that is to be refused for the time being
   */
  loading(wasmAddress: number, size: number): boolean;
  /** Secret bits of the value that the running instruction has just loaded, and of the one that it is about to store */
  loaded: bigint;
  stored: bigint;
  /** The running instruction stores to a device at this physical address. */
  storingToDevice(address: number, size: number): void;
  /** A helper, or the delivery of an event, reads RAM at this wasm address. Writes are told by `MachineMemory.writing`. */
  reading(wasmAddress: number, size: number): void;
  /** Another vCPU runs from now on. */
  resumed(vcpu: number): void;
  helperBegins(insn: Instruction): void;
  /** It has ended, by whatever way. */
  helperEnded(): void;
}
