// SPDX-License-Identifier: Apache-2.0
/*
 * Debian's libbpf.a is position-independent only as far as an executable needs it: it takes the address of `stderr`
 * relative to its own code, which the linker can resolve only to a variable in the same file. The linker option
 * --wrap=stderr sends such references here. libbpf writes to it only before libbpf_set_print, which the addon calls
 * first.
 */
#include <stdio.h>

extern FILE *__wrap_stderr;
extern FILE *__real_stderr;

__attribute__((visibility("hidden"))) FILE *__wrap_stderr;

__attribute__((constructor)) static void set_stderr(void)
{
	__wrap_stderr = __real_stderr;
}
