import type { Context, Machine } from '../../emulator/machine/api';
import type { Probe } from '../symbols/api';
import type { Image } from '../stack/image';

/** A probe that fired: its arguments as the prober's registers and memory had them. */
export interface ProbeHit {
  readonly probe: Probe;
  readonly image: Image;
  readonly context: Context;
  readonly values: readonly (bigint | undefined)[];
}

interface Site {
  readonly image: Image;
  readonly probe: Probe;
}

/**
 * The static probes of all images, by the linear address of their no-op instruction. Two layers may have probes at
 * one address: which of them fired is decided by the content of memory.
 */
export class ProbeSites {
  private readonly sites = new Map<bigint, Site[]>();

  constructor(
    private readonly machine: Machine,
    images: readonly Image[],
  ) {
    for (const image of images) {
      for (const probe of image.loaded.probes()) {
        const site = { image, probe };
        const there = this.sites.get(probe.pc);
        if (there) there.push(site);
        else this.sites.set(probe.pc, [site]);
      }
    }
  }

  get addresses(): Iterable<bigint> {
    return this.sites.keys();
  }

  has(linear: bigint): boolean {
    return this.sites.has(linear);
  }

  /** The probes that fire when this context is about to execute the instruction at `linear`. */
  hitsAt(context: Context, linear: bigint): ProbeHit[] {
    const { machine } = this;
    return (this.sites.get(linear) ?? [])
      .filter(({ image }) => image.residesAt(machine, context.space, linear))
      .map(({ image, probe }) => ({
        probe,
        image,
        context,
        values: probe.arguments.map((argument) =>
          argument.evaluate(
            (name) => context.registers.read(name),
            (address, length) => machine.readMemory(context.space, address, length),
          ),
        ),
      }));
  }
}
