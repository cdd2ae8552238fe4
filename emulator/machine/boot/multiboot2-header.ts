import { MachineError, type BootImage } from '../api';
import type { FlatAddresses } from './flat-image';

// Header tags: "Multiboot2 Specification version 2.0", 3.1.3 to 3.1.13.
const enum HeaderTag {
  End,
  InformationRequest,
  Address,
  EntryAddress,
  ConsoleFlags,
  FrameBuffer,
  ModuleAlignment,
  EfiBootServices,
  EfiEntry32,
  EfiEntry64,
  Relocatable,
}
const HEADER_SIZE = 16;
const OPTIONAL = 1;
const CONSOLE_REQUIRED = 1;
/** Tags of the information that the specification defines: 1 to 21 */
const LAST_INFORMATION_TAG = 21;

/** The tag of a relocatable image (3.1.11) */
export interface Relocation {
  readonly least: number;
  readonly most: number;
  readonly align: number;
  readonly preference: 'none' | 'lowest' | 'highest';
}

/** What a multiboot 2 header asks for */
export interface Multiboot2Header {
  readonly offset: number;
  readonly addresses: FlatAddresses | undefined;
  readonly entry: number | undefined;
  readonly relocation: Relocation | undefined;
}

/** @throws MachineError for a tag that is malformed, or that asks for what this machine does not have */
export function readMultiboot2Header(image: BootImage, offset: number): Multiboot2Header {
  const { bytes, name } = image;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = offset + view.getUint32(offset + 8, true);
  const refuse = (at: number, problem: string): never => {
    throw new MachineError(`${name}: multiboot 2 header tag at file offset 0x${at.toString(16)}: ${problem}.`);
  };
  let addresses: FlatAddresses | undefined;
  let entry: number | undefined;
  let relocation: Relocation | undefined;
  for (let at = offset + HEADER_SIZE; ;) {
    if (at + 8 > end) refuse(at, 'the header ends before its end tag (type 0, size 8)');
    const type = view.getUint16(at, true);
    const optional = (view.getUint16(at + 2, true) & OPTIONAL) !== 0;
    const size = view.getUint32(at + 4, true);
    if (size < 8 || at + size > end) refuse(at, `its size ${size} does not fit in the header`);
    const field = (index: number): number => {
      if (8 + index * 4 + 4 > size) refuse(at, `type ${type} needs more than ${size} bytes`);
      return view.getUint32(at + 8 + index * 4, true);
    };
    switch (type as HeaderTag) {
      case HeaderTag.End:
        return { offset, addresses, entry, relocation };
      case HeaderTag.InformationRequest:
        for (let i = 0; 8 + i * 4 + 4 <= size && !optional; i++) {
          if (field(i) > LAST_INFORMATION_TAG) refuse(at, `it requires information of the unknown type ${field(i)}`);
        }
        break;
      case HeaderTag.Address:
        addresses = { header: field(0), load: field(1), loadEnd: field(2), bssEnd: field(3) };
        break;
      case HeaderTag.EntryAddress:
        entry = field(0);
        break;
      case HeaderTag.ConsoleFlags:
        if (field(0) & CONSOLE_REQUIRED && !optional)
          refuse(at, 'it requires a text console, and this machine has only a serial port');
        break;
      case HeaderTag.FrameBuffer:
        if (!optional) refuse(at, 'it requires a frame buffer, and this machine has none. Mark the tag optional');
        break;
      case HeaderTag.Relocatable: {
        const preference = (['none', 'lowest', 'highest'] as const)[field(3)];
        if (!preference) return refuse(at, `load preference ${field(3)} is none of 0, 1, 2`);
        relocation = { least: field(0), most: field(1), align: Math.max(field(2), 1), preference };
        break;
      }
      // Modules lie on pages anyway. The EFI tags are for EFI firmware, and this machine has none.
      case HeaderTag.ModuleAlignment:
      case HeaderTag.EfiBootServices:
      case HeaderTag.EfiEntry32:
      case HeaderTag.EfiEntry64:
        break;
      default:
        if (!optional) refuse(at, `its type ${type} is unknown, and it is not marked optional`);
    }
    at += Math.ceil(size / 8) * 8;
  }
}
