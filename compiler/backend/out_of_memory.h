/* out_of_memory.h - LLVM ends the program when memory is used up: here it says so first, with the exit code of E0931. */
#ifndef DEQ_BACKEND_OUT_OF_MEMORY_H
#define DEQ_BACKEND_OUT_OF_MEMORY_H

void out_of_memory_is_said(void);
#endif
