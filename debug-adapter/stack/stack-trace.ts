import type { DebugProtocol } from '@vscode/debugprotocol';
import { formatReference } from '../memory/reference';
import type { Live } from '../session/live';
import { frameName, type StackEntry } from './call-stack';

/** stackTrace: a page of the stack of one vCPU. */
export function stackTrace(
  args: DebugProtocol.StackTraceArguments,
  live: Live,
): DebugProtocol.StackTraceResponse['body'] {
  const stack = live.stack(live.vcpuOf(args.threadId));
  const start = Math.max(0, Math.trunc(args.startFrame ?? 0));
  const levels = Math.trunc(args.levels ?? 0);
  const page = stack.slice(start, levels > 0 ? start + levels : undefined);
  return { totalFrames: stack.length, stackFrames: page.map(({ id, entry }) => protocolFrame(id, entry, live)) };
}

function protocolFrame(id: number, entry: StackEntry, live: Live): DebugProtocol.StackFrame {
  const { debuggee, sources } = live;
  if (entry.kind === 'label') return { id, name: entry.text, line: 0, column: 0, presentationHint: 'label' };
  const { frame, context } = entry;
  const module = debuggee.images.findIndex((image) => image.loaded === frame.image);
  return {
    id,
    name: frameName(debuggee, context, frame),
    line: frame.place?.line ?? 0,
    column: frame.place?.column ?? 0,
    ...(frame.place ? { source: sources.source(frame.place.file) } : {}),
    instructionPointerReference: formatReference('linear', context.id, frame.pc),
    ...(module < 0 ? {} : { moduleId: module }),
  };
}
