/* AMX tiles on a CPU that has none, for tests: cc -O1 -shared -fPIC -o amx.so amx_emulator.c; LD_PRELOAD=amx.so python ...
 *
 * An AMX instruction is illegal there: SIGILL's handler does in C what it would have done and goes on behind it. The
 * instructions are those of the Intel SDM, volume 2, chapter 3 ("Intel AMX Instruction Set Reference"): LDTILECFG, STTILECFG, TILERELEASE,
 * TILEZERO, TILELOADD, TILESTORED and the four TDPB?D. What it does not know ends the process as before. It also answers
 * arch_prctl(ARCH_REQ_XCOMP_PERM) as a kernel with tiles does. Each thread has tiles of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { TILES = 8, THREADS = 64, PERMISSION = 0x1023, XTILEDATA = 18 };

typedef struct {
    long thread;
    int configured;
    uint16_t bytes[TILES]; /* of a row */
    uint8_t rows[TILES];
    uint8_t data[TILES][16][64];
} State;

static State states[THREADS];

static long raw_syscall(long n, long a, long b, long c, long d, long e, long f) {
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    long result;
    asm volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

long syscall(long n, ...) {
    __builtin_va_list list;
    __builtin_va_start(list, n);
    long a[6];
    for (int i = 0; i < 6; i++) a[i] = __builtin_va_arg(list, long);
    __builtin_va_end(list);
    if (n == SYS_arch_prctl && a[0] == PERMISSION && a[1] == XTILEDATA) return 0;
    long result = raw_syscall(n, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result < 0 && result > -4096) {
        errno = -result;
        return -1;
    }
    return result;
}

static State *own_state(void) {
    long thread = raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
    for (int i = 0; i < THREADS; i++) {
        long expected = 0;
        if (__atomic_load_n(&states[i].thread, __ATOMIC_ACQUIRE) == thread) return &states[i];
        if (__atomic_compare_exchange_n(&states[i].thread, &expected, thread, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return &states[i];
    }
    abort();
}

/* Registers in the order of their numbers. */
static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

typedef struct {
    int reg, rm, vvvv, is_register;
    int64_t base, index; /* index: already scaled */
    int length;          /* bytes of ModRM, SIB and displacement */
} Operands;

static Operands operands(const uint8_t *at, int r, int x, int b, int vvvv, const greg_t *regs, int64_t next_of_modrm) {
    Operands o = {0};
    int mod = at[0] >> 6, rm = at[0] & 7;
    o.reg = (at[0] >> 3 & 7) | r << 3, o.rm = rm | b << 3, o.vvvv = vvvv, o.length = 1;
    if (mod == 3) {
        o.is_register = 1;
        return o;
    }
    int no_base = 0;
    if (rm == 4) {
        int sib = at[1], index = (sib >> 3 & 7) | x << 3, base = (sib & 7) | b << 3;
        o.length++;
        if (index != 4) o.index = regs[ORDER[index]] << (sib >> 6);
        no_base = (sib & 7) == 5 && mod == 0;
        if (!no_base) o.base = regs[ORDER[base]];
    } else if (rm == 5 && mod == 0) {
        int32_t displacement;
        memcpy(&displacement, at + 1, 4);
        o.length += 4;
        o.base = next_of_modrm + o.length + displacement;
        return o;
    } else {
        o.base = regs[ORDER[rm | b << 3]];
    }
    if (mod == 1) {
        o.base += (int8_t)at[o.length];
        o.length += 1;
    } else if (mod == 2 || no_base) {
        int32_t displacement;
        memcpy(&displacement, at + o.length, 4);
        o.base += displacement;
        o.length += 4;
    }
    return o;
}

static int configure(State *s, const uint8_t *from) {
    memset(s->data, 0, sizeof s->data);
    if (from[0] == 0) { /* as TILERELEASE */
        s->configured = 0;
        return 1;
    }
    if (from[0] != 1) return 0;
    for (int t = 0; t < TILES; t++) {
        memcpy(&s->bytes[t], from + 16 + 2 * t, 2);
        s->rows[t] = from[48 + t];
        if (s->bytes[t] > 64 || s->rows[t] > 16) return 0;
    }
    return s->configured = 1;
}

static int multiply(State *s, int pp, int c, int a, int b) {
    if (s->rows[c] != s->rows[a] || s->bytes[c] != s->bytes[b] || s->bytes[a] != 4 * s->rows[b]) return 0;
    int a_signed = pp & 2, b_signed = pp == 3 || pp == 1; /* 0: UU, 1: US, 2: SU, 3: SS */
    for (int m = 0; m < s->rows[c]; m++)
        for (int k = 0; k < s->bytes[a] / 4; k++)
            for (int n = 0; n < s->bytes[c] / 4; n++) {
                int32_t sum;
                memcpy(&sum, &s->data[c][m][4 * n], 4);
                for (int i = 0; i < 4; i++) {
                    uint8_t x = s->data[a][m][4 * k + i], w = s->data[b][k][4 * n + i];
                    sum += (a_signed ? (int8_t)x : x) * (b_signed ? (int8_t)w : w);
                }
                memcpy(&s->data[c][m][4 * n], &sum, 4);
            }
    return 1;
}

static void describe(const State *s, uint8_t *to) {
    memset(to, 0, 64);
    if (!s->configured) return;
    to[0] = 1;
    for (int t = 0; t < TILES; t++) {
        memcpy(to + 16 + 2 * t, &s->bytes[t], 2);
        to[48 + t] = s->rows[t];
    }
}

/* One instruction; its length, or 0 if it is not one of AMX or would fault. */
static int emulate(const uint8_t *at, const greg_t *regs) {
    if (at[0] != 0xC4 || (at[1] & 31) != 2 || at[2] & 0x84) return 0; /* VEX.128.0F38.W0 */
    int r = !(at[1] & 0x80), x = !(at[1] & 0x40), b = !(at[1] & 0x20), vvvv = ~at[2] >> 3 & 15, pp = at[2] & 3;
    int opcode = at[3];
    State *s = own_state();
    Operands o = operands(at + 4, r, x, b, vvvv, regs, (int64_t)(uintptr_t)at + 4);
    int length = 4 + o.length;
    if (opcode == 0x49 && pp == 0 && !o.is_register)
        return configure(s, (const uint8_t *)(o.base + o.index)) ? length : 0;
    if (opcode == 0x49 && pp == 1 && !o.is_register) {
        describe(s, (uint8_t *)(o.base + o.index));
        return length;
    }
    if (!s->configured && opcode != 0x49) return 0;
    if (opcode == 0x49 && pp == 0 && at[4] == 0xC0) {
        memset(s->data, 0, sizeof s->data);
        s->configured = 0;
        return length;
    }
    if (opcode == 0x49 && pp == 3 && o.is_register && s->configured) {
        memset(s->data[o.reg], 0, sizeof s->data[0]);
        return length;
    }
    if (opcode == 0x4B && (pp == 2 || pp == 3) && (at[4] & 7) == 4 && !o.is_register) {
        for (int row = 0; row < s->rows[o.reg]; row++) {
            uint8_t *memory = (uint8_t *)(o.base + row * o.index);
            if (pp == 3) {
                memset(s->data[o.reg][row], 0, 64);
                memcpy(s->data[o.reg][row], memory, s->bytes[o.reg]);
            } else {
                memcpy(memory, s->data[o.reg][row], s->bytes[o.reg]);
            }
        }
        return length;
    }
    if (opcode == 0x5E && o.is_register) return multiply(s, pp, o.reg, o.rm, o.vvvv) ? length : 0;
    return 0;
}

static void illegal(int number, siginfo_t *info, void *context) {
    (void)info;
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    int length = emulate((const uint8_t *)regs[REG_RIP], regs);
    if (length == 0) signal(number, SIG_DFL); /* the instruction comes again, and ends the process */
    regs[REG_RIP] += length;
}

__attribute__((constructor)) static void install(void) {
    struct sigaction action = {0};
    action.sa_sigaction = illegal;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGILL, &action, NULL);
}
