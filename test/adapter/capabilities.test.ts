import assert from 'node:assert/strict';
import { exceptionFilters } from '../../debug-adapter/breakpoints/exceptions';
import { announced, capabilities } from '../../debug-adapter/session/capabilities';
import { DebugSession } from '../../debug-adapter/session/debug-session';
import { EXIT_REASONS } from '../../emulator/arch/exit-reasons';

const session = () =>
  new DebugSession(
    {
      files: {
        read: () => Promise.reject(new Error('there is no such file')),
        kind: () => Promise.resolve('absent'),
        absolute: (path) => path,
      },
      createMachine: () => Promise.reject(new Error('not needed')),
    },
    () => undefined,
  );

describe('capabilities', () => {
  it('are announced only with the handlers they need', () => {
    const routes = session().routes();
    for (const { capability, requests } of announced([])) {
      assert.ok(requests.length > 0, capability);
      for (const command of requests) assert.ok(Object.hasOwn(routes, command), `${capability} needs "${command}"`);
    }
  });

  it('are announced for every optional request that is handled', () => {
    // What each of these is the capability of (DAP, "Capabilities")
    const optional: Record<string, string> = {
      configurationDone: 'supportsConfigurationDoneRequest',
      setFunctionBreakpoints: 'supportsFunctionBreakpoints',
      setInstructionBreakpoints: 'supportsInstructionBreakpoints',
      breakpointLocations: 'supportsBreakpointLocationsRequest',
      setVariable: 'supportsSetVariable',
      setExpression: 'supportsSetExpression',
      exceptionInfo: 'supportsExceptionInfoRequest',
      modules: 'supportsModulesRequest',
      loadedSources: 'supportsLoadedSourcesRequest',
      readMemory: 'supportsReadMemoryRequest',
      writeMemory: 'supportsWriteMemoryRequest',
      disassemble: 'supportsDisassembleRequest',
      restart: 'supportsRestartRequest',
      terminate: 'supportsTerminateRequest',
    };
    const told = capabilities([]) as Record<string, unknown>;
    for (const [command, capability] of Object.entries(optional)) {
      assert.equal(Object.hasOwn(session().routes(), command), told[capability] === true, capability);
    }
  });

  it('offer a filter for each VM-exit reason of the manual, with label and explanation', () => {
    const filters = new Set(exceptionFilters.map(({ filter }) => filter));
    assert.equal(filters.size, exceptionFilters.length);
    for (const symbol of Object.keys(EXIT_REASONS)) assert.ok(filters.has(`exit:${symbol}`), symbol);
    for (const { label, description } of exceptionFilters) assert.ok(label !== '' && description);
  });
});
