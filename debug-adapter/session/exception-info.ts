import type { DebugProtocol } from '@vscode/debugprotocol';
import { silentError } from './errors';
import type { Live } from './live';

/** exceptionInfo: what the last stop for an exception filter was about, in words. */
export function exceptionInfo(threadId: number, live: Live): DebugProtocol.ExceptionInfoResponse['body'] {
  const { explanation, vcpu } = live.exceptions;
  if (!explanation) throw silentError('the machine did not stop for an exception');
  if (threadId !== vcpu + 1) throw silentError(`it was thread ${vcpu + 1} that stopped for an exception`);
  return {
    exceptionId: explanation.id,
    description: explanation.text,
    breakMode: 'always',
    details: { typeName: explanation.id, message: explanation.title },
  };
}
