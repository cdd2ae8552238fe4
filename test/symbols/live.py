# Runs in gdb: steps the program from `middle` on and prints, for each stop, registers, memory and what gdb makes of the stack.
import gdb, json, os

REGISTERS = ['rax', 'rdx', 'rcx', 'rbx', 'rsi', 'rdi', 'rbp', 'rsp'] + ['r%d' % n for n in range(8, 16)] + ['rip']
SAVED = ['rbx', 'rbp', 'rsp', 'r12', 'r13', 'r14', 'r15', 'rip']


def run(command):
    return gdb.execute(command, to_string=True)


def number(value):
    return int(value.cast(gdb.lookup_type('unsigned long'))) & (2**64 - 1)


def variables(what):
    found = []
    for line in run('info ' + what).splitlines():
        name, equals, value = line.partition(' = ')
        if equals:
            found.append([name, value])
    return found


def frames():
    found = []
    frame = gdb.newest_frame()
    while frame is not None and frame.is_valid():
        frame.select()
        sal = frame.find_sal()
        about = run('info frame')
        inlined = frame.type() == gdb.INLINE_FRAME
        cfa = about.split('frame at ')[1].split(':')[0].split(',')[0].split('\n')[0].strip() if 'frame at ' in about else ''
        found.append({
            'name': frame.name(),
            'pc': str(frame.pc()),
            'inlined': inlined,
            'line': sal.line,
            'cfa': cfa,
            'registers': {n: str(number(frame.read_register(n))) for n in SAVED},
            'locals': variables('locals') if frame.function() else [],
            'arguments': variables('args') if frame.function() else [],
        })
        frame = frame.older()
    gdb.newest_frame().select()
    return found


for setting in ['confirm off', 'pagination off', 'width 0', 'print null-stop on', 'print repeats 10', 'print entry-values no',
                'backtrace past-main on', 'backtrace past-entry on', 'disable-randomization on', 'startup-with-shell off']:
    run('set ' + setting)
run('break middle')
run('run')
stops = []
writable = []
for line in run('info proc mappings').splitlines():
    parts = line.split()
    if len(parts) >= 5 and parts[0].startswith('0x') and 'rw' in parts[4] and '[heap]' not in line:
        writable.append((int(parts[0], 16), int(parts[1], 16)))
inferior = gdb.selected_inferior()
for stop in range(int(os.environ['STOPS'])):
    registers = {n: str(number(gdb.newest_frame().read_register(n))) for n in REGISTERS}
    sp = int(registers['rsp'])
    memory = []
    for low, high in writable:
        if low <= sp < high:
            low, high = sp - 1024, min(high, sp + 4096)
        memory.append([str(low), bytes(inferior.read_memory(low, high - low)).hex()])
    stops.append({'registers': registers, 'memory': memory, 'frames': frames()})
    run('stepi %s' % os.environ['STRIDE'])
    if not gdb.selected_inferior().pid:
        break
run('kill')
print('JSON' + json.dumps(stops))
