// SPDX-License-Identifier: Apache-2.0
#include "cni_error.h"

#include <stdarg.h>
#include <stdio.h>

bool cni_fail(struct cni_error *error, enum cni_code code, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	error->code = code;
	error->details[0] = '\0';
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
	return false;
}

bool cni_details(struct cni_error *error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error->details, sizeof(error->details), format, arguments);
	va_end(arguments);
	return false;
}
