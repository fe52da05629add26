/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the end of a turn (loop hooks). During the turn, sockets were read, requests
 * decided, and results of commits and attempts taken in. Then:
 *
 *   1. requests    begin: those that waited behind an answered one on their connection, and those
 *                  that the handler's share of an earlier turn did not reach
 *   2. deliveries  start what may start, so that their requests leave in this turn
 *   3. store       hand the open batch to the writer: all that this turn decided in one commit
 */
#ifndef LL_TURN_H
#define LL_TURN_H

enum turn_order { TURN_REQUESTS = 10, TURN_DELIVER = 20, TURN_STORE = 30 };

#endif
