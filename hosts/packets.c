/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "packets.h"

#include "lib.h"

#include <errno.h>
#include <jansson.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <sys/socket.h>

#define TABLE      "netdev closer"
#define CHAIN      TABLE " to-%s" /* a name of its own begins with a letter, and is no keyword */
#define SCRIPT_MAX 1024

struct nft { /* one question or order */
	struct nft_ctx *ctx;
	const char *output, *error; /* the context's */
};

static void nft_done(struct nft *nft)
{
	if (nft->ctx)
		nft_ctx_free(nft->ctx);
}

/* libnftables ends the process where it gets no socket of nfnetlink's: a kernel may have none. */
static bool has_nfnetlink(void)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	cl_autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	return fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof(any)) == 0;
}

/* The caller frees it, whatever comes of it. 0, -EPROTONOSUPPORT, -ENOMEM or -EIO. */
static int run(struct nft *nft, const char *script, bool dry)
{
	int r;

	*nft = (struct nft){ .output = "", .error = "" };
	if (!has_nfnetlink()) {
		nft->error = "this kernel has none (modprobe nfnetlink, nf_tables)";
		return -EPROTONOSUPPORT;
	}
	nft->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft->ctx)
		return -ENOMEM;
	nft_ctx_set_dry_run(nft->ctx, dry);
	nft_ctx_output_set_flags(nft->ctx, NFT_CTX_OUTPUT_JSON);
	if (nft_ctx_buffer_output(nft->ctx) != 0 || nft_ctx_buffer_error(nft->ctx) != 0)
		return -ENOMEM;
	r = nft_run_cmd_from_buffer(nft->ctx, script);
	nft->output = nft_ctx_get_output_buffer(nft->ctx);
	nft->error = nft_ctx_get_error_buffer(nft->ctx);
	return r == 0 ? 0 : -EIO;
}

bool cl_packets_can(char *ret_why, size_t size)
{
	struct nft nft;
	int r = run(&nft,
		    "add table netdev closer-probe\n"
		    "add chain netdev closer-probe to-lo { type filter hook egress device \"lo\" "
		    "priority 0; }\n",
		    true);

	ret_why[0] = '\0';
	if (r < 0 && strstr(nft.error, "not permitted"))
		snprintf(ret_why, size, "no right to set nftables rules: run as root");
	else if (r == -EPROTONOSUPPORT)
		snprintf(ret_why, size,
			 "this kernel has no nftables (modprobe nfnetlink, nf_tables)");
	else if (r < 0)
		snprintf(ret_why, size,
			 "nftables cannot limit what goes out of a device here (Linux 5.16 with "
			 "CONFIG_NETFILTER_EGRESS)");
	nft_done(&nft);
	return r == 0;
}

/* It becomes part of a script: the names of devices that are plain, which are nearly all. */
static int check_device(const char *name, struct cl_error *reterr)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	char shown[64];

	if (!name[0] || strlen(name) > 15 || name[strspn(name, plain)] || name[0] == '.' ||
	    name[0] == '-')
		return cl_fail(reterr, EINVAL,
			       "network device '%.40s' has a name that nftables is not given",
			       cl_escape(name, shown, sizeof(shown)));
	return 0;
}

static bool is_there(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/net/%s", name);
	return access(path, F_OK) == 0;
}

/* {"limit": {"rate": 800, "burst": 80, "per": "second", "inv": true}}, then {"drop": null}. */
static int64_t parse_rule(const json_t *rule)
{
	const json_t *expr = json_object_get(rule, "expr");
	const json_t *limit = json_object_get(json_array_get(expr, 0), "limit");
	const char *per = json_string_value(json_object_get(limit, "per"));
	json_int_t rate = json_integer_value(json_object_get(limit, "rate"));

	if (json_array_size(expr) != 2 || !json_object_get(json_array_get(expr, 1), "drop") ||
	    !per || strcmp(per, "second") != 0 || !json_is_true(json_object_get(limit, "inv")) ||
	    json_object_get(limit, "rate_unit") || rate <= 0)
		return -1;
	return rate;
}

int64_t cl_packets_parse(const char *text)
{
	json_t *json = json_loads(text, 0, NULL), *list = json_object_get(json, "nftables");
	int64_t rate = -1;
	uint32_t rules = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *rule = json_object_get(json_array_get(list, i), "rule");

		if (rule && rules++ == 0)
			rate = parse_rule(rule);
	}
	json_decref(json);
	return rules == 1 ? rate : -1;
}

int cl_packets_read(const struct cl_change *change, struct cl_setting *ret_setting,
		    struct cl_error *reterr)
{
	char script[SCRIPT_MAX], shown[128];
	struct nft nft;
	int r = check_device(change->path, reterr);

	if (r < 0)
		return r;
	memset(ret_setting, 0, sizeof(*ret_setting));
	snprintf(script, sizeof(script), "list chain " CHAIN "\n", change->path);
	r = run(&nft, script, false);
	if (r == 0) {
		ret_setting->present = true;
		ret_setting->number = cl_packets_parse(nft.output);
		ret_setting->period_ns = CL_NS_PER_S;
	} else if (strstr(nft.error, "No such file or directory")) {
		r = is_there(change->path) ? 0
					   : cl_fail(reterr, ENOENT,
						     "there is no network device %s", change->path);
	} else {
		r = cl_fail(reterr, EIO, "asking nftables for the limit of %s: %.100s",
			    change->path, cl_escape(nft.error, shown, sizeof(shown)));
	}
	nft_done(&nft);
	return r;
}

static void write_script(const struct cl_change *change, char *script)
{
	const char *device = change->path;
	long long rate = (long long)change->to.number;

	if (change->to.present)
		snprintf(script, SCRIPT_MAX,
			 "add table " TABLE "\n"
			 "add chain " CHAIN
			 " { type filter hook egress device \"%s\" priority 0; }\n"
			 "flush chain " CHAIN "\n"
			 "add rule " CHAIN " limit rate over %lld/second burst %lld packets drop\n",
			 device, device, device, device, rate, rate / 10 + 1);
	else
		snprintf(script, SCRIPT_MAX, "flush chain " CHAIN "\ndelete chain " CHAIN "\n",
			 device, device);
}

/* The last one's table goes with it. Whoever adds a chain meanwhile keeps it: then it is not empty.
 */
static void remove_table(void)
{
	struct nft nft;

	if (run(&nft, "list table " TABLE "\n", false) == 0 && !strstr(nft.output, "\"chain\"")) {
		nft_done(&nft);
		(void)run(&nft, "delete table " TABLE "\n", false);
	}
	nft_done(&nft);
}

static bool same(const struct cl_setting *is, const struct cl_setting *wanted)
{
	return is->present == wanted->present &&
	       (!is->present ||
		(is->number == wanted->number && is->period_ns == wanted->period_ns));
}

int cl_packets_apply(const struct cl_change *change, struct cl_error *reterr)
{
	char script[SCRIPT_MAX], shown[128];
	struct cl_setting is;
	struct nft nft;
	int r = cl_packets_read(change, &is, reterr);

	/* Before Linux 6.16 its chain went with it, and the table stayed. */
	if (r == -ENOENT && !change->to.present)
		remove_table();
	if (r < 0 || same(&is, &change->to))
		return r;
	if (!same(&is, &change->from))
		return cl_fail(
			reterr, ESTALE,
			"the limit of packets to %s is not as expected: somebody else has set "
			"it; left alone",
			change->path);
	write_script(change, script);
	r = run(&nft, script, false);
	if (r < 0)
		r = cl_fail(reterr, EIO, "limiting packets to %s: nftables says %.100s",
			    change->path, cl_escape(nft.error, shown, sizeof(shown)));
	nft_done(&nft);
	if (r == 0)
		r = cl_packets_read(change, &is, reterr);
	if (r == -ENOENT && !change->to.present)
		r = 0; /* neither the chain nor the device: as asked for */
	else if (r == 0 && !same(&is, &change->to))
		r = cl_fail(reterr, EIO,
			    "packets to %s were limited, and nftables has another limit",
			    change->path);
	if (r == 0 && !change->to.present)
		remove_table();
	return r;
}
