/* SPDX-License-Identifier: Apache-2.0 */
/* `longline receive`: a small receiver for trying things out. Prints what arrives and whether its
 * signature is valid. */
#ifndef LL_RECEIVE_H
#define LL_RECEIVE_H

#include "cli.h"

int receive_run(const struct cli *cli);

#endif
