/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the end of a turn (loop hooks). During the turn, sockets were read, requests
 * decided, and results of commits and attempts taken in. Then:
 *
 *   1. deliveries  start what may start, so that their requests leave in this turn
 *   2. store       hand the open batch to the writer: all that this turn decided in one commit
 *   3. housekeeping
 */
#ifndef LL_TURN_H
#define LL_TURN_H

enum turn_order { TURN_DELIVER = 10, TURN_STORE = 20, TURN_HOUSEKEEPING = 30 };

#endif
