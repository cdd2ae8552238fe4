import type { Context, Machine } from '../../emulator/machine/api';
import type { SymbolPlace } from '../symbols/api';
import { hex } from '../memory/reference';
import type { Image } from './image';

/** The linear address of the next instruction: the code segment's base counts outside 64-bit mode. */
export function linearRip(context: Context): bigint {
  const rip = context.registers.read('rip') ?? 0n;
  const long = context.space.codeSize === 64;
  return long ? rip : BigInt.asUintN(32, rip + (context.registers.read('cs.base') ?? 0n));
}

/** The linear address of the top of the stack. */
export function linearRsp(context: Context): bigint {
  const rsp = context.registers.read('rsp') ?? 0n;
  if (context.space.codeSize === 64) return rsp;
  return BigInt.asUintN(32, rsp + (context.registers.read('ss.base') ?? 0n));
}

/**
 * Tells the machine's contexts apart by what they run. A context belongs to the layer whose image its instruction
 * pointer is in; while it is somewhere else (a trampoline, unknown code), to the one it was in last.
 */
export class Layers {
  /** Images that a context was last seen in */
  private readonly last = new Map<number, Image>();
  /** For each image the VMCSs that ran it, in the order seen: the second virtual machine of one image is "guest 2" */
  private readonly machines = new Map<Image, bigint[]>();

  constructor(
    private readonly machine: Machine,
    readonly images: readonly Image[],
  ) {}

  /** The image that this context has in memory at a linear address. */
  imageAt(context: Context, linear: bigint): Image | undefined {
    return this.images.find(
      (image) => image.loaded.contains(linear) && image.residesAt(this.machine, context.space, linear),
    );
  }

  /** The image a context runs, by its instruction pointer, else the one it ran last. */
  imageOf(context: Context): Image | undefined {
    const image = this.imageAt(context, linearRip(context));
    if (image) this.note(context, image);
    return image ?? this.last.get(context.id);
  }

  nameOf(context: Context): string {
    const image = this.imageOf(context);
    if (!image) {
      return context.vmcs === undefined ? `vcpu${context.vcpu} root` : `VMCS ${hex(context.vmcs)}`;
    }
    const order = context.vmcs === undefined ? 0 : (this.machines.get(image)?.indexOf(context.vmcs) ?? 0);
    return order > 0 ? `${image.layer} ${order + 1}` : image.layer;
  }

  /** Symbol of an address as this context sees it: the image there by content, else the one the context runs. */
  symbolAt(context: Context, linear: bigint): SymbolPlace | undefined {
    return (this.imageAt(context, linear) ?? this.dataImage(context, linear))?.loaded.symbolAt(linear);
  }

  private dataImage(context: Context, linear: bigint): Image | undefined {
    const image = this.last.get(context.id);
    return image?.loaded.contains(linear) ? image : undefined;
  }

  private note(context: Context, image: Image): void {
    this.last.set(context.id, image);
    if (context.vmcs === undefined) return;
    const seen = this.machines.get(image);
    if (!seen) this.machines.set(image, [context.vmcs]);
    else if (!seen.includes(context.vmcs)) seen.push(context.vmcs);
  }
}

/** "name+0x12", or the bare address where no symbol is known. */
export function formatSymbol(symbol: SymbolPlace | undefined, address: bigint): string {
  if (!symbol) return hex(address);
  return symbol.offset === 0n ? symbol.name : `${symbol.name}+${hex(symbol.offset)}`;
}
