import { PciFunction } from './function';

/**
 * The host bridge: Intel 82441FX PMC as far as a program without firmware sees it (data sheet 290549, "PCI
 * Configuration Space Mapped Registers"). RAM is always decoded; the attribute registers of the shadowed
 * 640 KiB-1 MiB area keep what is written and change nothing, because RAM lies there on this board.
 */
export class HostBridge extends PciFunction {
  readonly name = 'host bridge';

  constructor(ramSize: number) {
    super({ vendor: 0x8086, device: 0x1237, revision: 2, classCode: 0x060000 }, ramSize);
    // PAM0..PAM6 and SMRAM
    for (let at = 0x59; at <= 0x5f; at++) this.config.define(at, 1, at === 0x59 ? 0x30 : 0x33, 0x33);
    this.config.define(0x72, 1, 0x02, 0);
  }
}
