import type { DebugProtocol } from '@vscode/debugprotocol';

/**
 * What the adapter announces. Each capability names the requests without which it would be a lie: a test looks them up
 * in the routing table.
 */
interface Announced {
  readonly capability: keyof DebugProtocol.Capabilities;
  readonly value: unknown;
  readonly requests: readonly string[];
}

const row = (capability: keyof DebugProtocol.Capabilities, requests: string[], value: unknown = true): Announced => ({
  capability,
  value,
  requests,
});

export const announced = (filters: DebugProtocol.ExceptionBreakpointsFilter[]): readonly Announced[] => [
  row('supportsConfigurationDoneRequest', ['configurationDone']),
  row('supportsFunctionBreakpoints', ['setFunctionBreakpoints']),
  row('supportsConditionalBreakpoints', ['setBreakpoints']),
  row('supportsHitConditionalBreakpoints', ['setBreakpoints']),
  row('supportsLogPoints', ['setBreakpoints']),
  row('supportsBreakpointLocationsRequest', ['breakpointLocations']),
  row('supportsInstructionBreakpoints', ['setInstructionBreakpoints']),
  row('supportsDataBreakpoints', ['dataBreakpointInfo', 'setDataBreakpoints']),
  row('supportsDataBreakpointBytes', ['dataBreakpointInfo']),
  row('supportsCompletionsRequest', ['completions']),
  row('completionTriggerCharacters', ['completions'], ['.', ' ']),
  row('exceptionBreakpointFilters', ['setExceptionBreakpoints'], filters),
  row('supportsExceptionFilterOptions', ['setExceptionBreakpoints']),
  row('supportsExceptionInfoRequest', ['exceptionInfo']),
  row('supportsSteppingGranularity', ['next', 'stepIn', 'stepOut']),
  row('supportsStepBack', ['stepBack', 'reverseContinue']),
  row('supportsCancelRequest', ['cancel']),
  row('supportsEvaluateForHovers', ['evaluate']),
  row('supportsClipboardContext', ['evaluate']),
  row('supportsSetVariable', ['setVariable']),
  row('supportsSetExpression', ['setExpression']),
  row('supportsReadMemoryRequest', ['readMemory']),
  row('supportsWriteMemoryRequest', ['writeMemory']),
  row('supportsDisassembleRequest', ['disassemble']),
  row('supportsModulesRequest', ['modules']),
  row('supportsLoadedSourcesRequest', ['loadedSources']),
  row('supportsDelayedStackTraceLoading', ['stackTrace']),
  row('supportsTerminateRequest', ['terminate']),
  row('supportsRestartRequest', ['restart']),
  row('supportTerminateDebuggee', ['disconnect']),
];

export function capabilities(filters: DebugProtocol.ExceptionBreakpointsFilter[]): DebugProtocol.Capabilities {
  return Object.fromEntries(announced(filters).map(({ capability, value }) => [capability, value]));
}
