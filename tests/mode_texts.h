/* mode_texts.h - every gradient mode as the tests of gradients take it.  A mode of modes.def without a text here does
 * not compile. */
#ifndef DEQ_TEST_MODE_TEXTS_H
#define DEQ_TEST_MODE_TEXTS_H

/* Enough of it to be exact at the layers of the standard library (test_stdlib_gradients.c). */
#define LIBRARY_implicit "implicit(gmres(tol: 1e-13, max: 300))"
#define LIBRARY_phantom "phantom.unroll(steps: 80, damping: 0.9, undamped_first: true)"
#define LIBRARY_neumann "phantom.neumann(steps: 80, damping: 0.9)"
#define LIBRARY_jfb "jfb()"
#define LIBRARY_simultaneous "simultaneous(states: 80, beta: 0.9)"
#define LIBRARY_unrolled "unrolled(from: 3..6, steps: 80, damping: 0.9)"
#define LIBRARY_shine "shine(refine: 80, fallback: none)"
#define LIBRARY_augmented "augmented(steps: 200)"
#define LIBRARY_backprop "backprop(checkpoint: 9)"

/* Enough at the small published networks (test_network_gradients.c). */
#define NETWORK_implicit "implicit(gmres(tol: 1e-13, max: 100))"
#define NETWORK_phantom "phantom.unroll(steps: 100, damping: 1.0, undamped_first: true)"
#define NETWORK_neumann "phantom.neumann(steps: 100, damping: 1.0)"
#define NETWORK_jfb "jfb()"
#define NETWORK_simultaneous "simultaneous(states: 80, beta: 1.0)"
#define NETWORK_unrolled "unrolled(from: 3..6, steps: 100, damping: 1.0)"
#define NETWORK_shine "shine(refine: 60, fallback: none)"
#define NETWORK_augmented "augmented(steps: 150, damping: 1.0, adjoint_damping: 1.0)"
#define NETWORK_backprop "backprop(checkpoint: 9)"

/* At the published sizes (networks/published.c): as it is used. */
#define PUBLISHED_implicit "implicit(broyden(tol: 1e-3, max: 7))"
#define PUBLISHED_phantom "phantom.unroll(steps: 5, damping: 0.5)"
#define PUBLISHED_neumann "phantom.neumann(steps: 5, damping: 0.5)"
#define PUBLISHED_jfb "jfb()"
#define PUBLISHED_simultaneous "simultaneous(states: 1..9, beta: 0.5)"
#define PUBLISHED_unrolled "unrolled(from: 1..9, steps: 5, damping: 0.5)"
#define PUBLISHED_shine "shine()"
#define PUBLISHED_augmented "augmented(steps: 8)"
#define PUBLISHED_backprop "backprop()"

/* The same: enough of it to be exact.  NULL: it never is; `published .. steps` compares it. */
#define PUBLISHED_EXACT_implicit "implicit(gmres(tol: 1e-12, max: 60))"
#define PUBLISHED_EXACT_phantom "phantom.unroll(steps: 14, damping: 1.0)"
#define PUBLISHED_EXACT_neumann "phantom.neumann(steps: 14, damping: 1.0)"
#define PUBLISHED_EXACT_jfb NULL
#define PUBLISHED_EXACT_simultaneous "simultaneous(states: 24, beta: 1.0)"
#define PUBLISHED_EXACT_unrolled "unrolled(from: 3..5, steps: 14, damping: 1.0)"
#define PUBLISHED_EXACT_shine "shine(refine: 14, fallback: none)"
#define PUBLISHED_EXACT_augmented "augmented(steps: 24, damping: 1.0, adjoint_damping: 1.0)"
#define PUBLISHED_EXACT_backprop "backprop(checkpoint: 4)"
#endif
