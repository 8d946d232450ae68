# SPDX-License-Identifier: GPL-2.0-or-later
# Tab-separated rows into columns as wide as they need: the first two to the left, figures to the right.
{
	for (i = 1; i <= NF; i++) {
		cell[NR, i] = $i
		if (length($i) > width[i])
			width[i] = length($i)
	}
	columns = NF > columns ? NF : columns
}
END {
	for (r = 1; r <= NR; r++) {
		if (r > 1 && cell[r, 1] != cell[r - 1, 1])
			print ""
		line = ""
		for (i = 1; i <= columns; i++)
			line = line sprintf(i < 3 ? "%-" width[i] "s  " : "%" width[i] "s  ", cell[r, i])
		sub(/ +$/, "", line)
		print line
	}
}
