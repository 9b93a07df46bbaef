/*
 * fault.h
 *		Named points at which the crash tests kill a process.
 *
 * They exist only in a build with -DCLARI_FAULT_POINTS. A point's name has two
 * parts: what is about to happen or has happened, and to which step, for
 * instance "before_send" and "submit".
 */
#ifndef CLARI_FAULT_H
#define CLARI_FAULT_H

#ifdef CLARI_FAULT_POINTS
extern void fault_point(const char *moment, const char *step);
extern void fault_define_settings(void);
#define FAULT_POINT(moment, step) fault_point(moment, step)
#else
#define FAULT_POINT(moment, step) ((void) (step))
#endif

#endif							/* CLARI_FAULT_H */
