/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Costs as a scenario has to give them, all of them small. */
#ifndef CLOSER_TESTS_SIM_COSTS_H
#define CLOSER_TESTS_SIM_COSTS_H

#define SIM_TEST_COSTS                                                                             \
	"[costs]\nswitch_ns=1000\nmigrate_ns=2000\nwake_ns=500\ntask_switch_ns=500\nirq_ns=300\n"  \
	"tick_ns=1us\ntick_hz=250\nhypercall_ns=100\nnetback_tx_ns=800\nnetback_rx_ns=800\n"       \
	"napi_turn_ns=100\ngrant_map_ns=100\nguest_rx_turn_ns=100\ndealloc_turn_ns=100\n"          \
	"blkback_irq_ns=100\nblkback_turn_ns=100\nblkback_look_ns=100\n"                           \
	"warm=100%\ncold_ns=10ms\ncold_shared=50%\n"                                               \
	"dealloc_ns=100\nbridge_ns=100\nnic_ns=100\nnetfront_ns=300\nstack_ns=1000\n"              \
	"blkback_ns=1000\nblkback_page_ns=100\nblkfront_ns=1000\ndisk_driver_ns=1000\n"            \
	"grant_copy_ns=100\nlocal_ps=100\nremote_ps=200\nlatency_ns=90\nremote_latency_ns=140\n"   \
	"misses=1\nnode_bandwidth=50G\nlink_bandwidth=16G\nsmt_speed=60%\nscrub_bandwidth=5G\n"    \
	"page_ns=200\ncreate_ns=10ms\ndestroy_ns=10ms\n"                                           \
	"container_bytes=75MiB\nbackend_bytes=44KiB\ncontribution_bytes=16MiB\n"                   \
	"migrate_bytes=32MiB\nio_hold_ns=500ms\n"
#define SIM_TEST_COSTS_LINES 48 /* of text above */

#endif
