/*
 * fault.h
 *		Named points at which the crash tests kill a process.
 *
 * They exist only in a build with -DCLARI_FAULT_POINTS.
 */
#ifndef CLARI_FAULT_H
#define CLARI_FAULT_H

#ifdef CLARI_FAULT_POINTS
extern void fault_point(const char *name);
extern void fault_define_settings(void);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) ((void) 0)
#endif

#endif							/* CLARI_FAULT_H */
