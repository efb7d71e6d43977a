package main

// This file makes the pages of `compare report`: it reads results files, writes the plots, and puts one short table
// into README.md and everything else into bench/results/README.md.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The generated part of a page stands between these lines and is replaced in place. The rest of the page is written by
// hand.
const (
	beginMark = "<!-- results:begin -->"
	endMark   = "<!-- results:end -->"
)

// plotFolder holds the plots and the page with all figures, seen from the root of the tree.
const plotFolder = "bench/results"

// report makes tables and plots of results files. It prints where millrace is not ahead.
func report(root string, files []string, stdout io.Writer) error {
	if len(files) == 0 {
		return usageError{errors.New("report needs at least one results file")}
	}
	records, err := readRecords(files)
	if err != nil {
		return err
	}
	all := gather(records)
	if len(all.environments) == 0 {
		return errors.New("the results do not say where they were measured")
	}
	for name, text := range plots(all) {
		if err := os.WriteFile(filepath.Join(root, plotFolder, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot write a plot: %w", err)
		}
	}
	if err := replaceBetween(filepath.Join(root, "README.md"), shortPage(all)); err != nil {
		return err
	}
	if err := replaceBetween(filepath.Join(root, plotFolder, "README.md"), resultsPage(all)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "where millrace is not ahead:\n%s", list(notAhead(all)))
	return err
}

// replaceBetween puts a text between the marks of a file.
func replaceBetween(name, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("cannot read the page for the tables: %w", err)
	}
	before, rest, ok1 := strings.Cut(string(old), beginMark+"\n")
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for the tables: it needs a line %s and, below it, a line %s", filepath.Base(name),
			beginMark, endMark)
	}
	return os.WriteFile(name, []byte(before+beginMark+"\n"+text+endMark+after), 0o644)
}

// shortPage returns the part of README.md: one table, one picture, and a link to all the rest.
func shortPage(all *results) string {
	return "\n" + measuredOn(all) + " Medians; a ratio stands with its smallest and largest round. " + starNote + "\n\n" +
		highlightTable(all) + "\n" + plotList(all, plotFolder+"/", []string{"cost.svg"}) +
		"[All figures, how they were measured, and where millrace is not ahead](" + plotFolder + "/README.md)\n\n"
}

// resultsPage returns the part of bench/results/README.md.
func resultsPage(all *results) string {
	var b strings.Builder
	b.WriteString("\n## Side by side\n\n" + where(all) + "\n\n")
	for _, g := range groups {
		b.WriteString(g.table(all))
	}
	b.WriteString(apartTable(all))
	b.WriteString(foreignTable(all))
	b.WriteString(plotList(all, "", plotNames))
	b.WriteString("## Targets\n\n" + targetTable(all) + "\n")
	b.WriteString("## Where millrace is not ahead\n\n" + list(notAhead(all)))
	if open := unsettledList(all); len(open) > 0 {
		b.WriteString("## Ratios that do not settle within 10 %\n\n" + list(open))
	}
	if gone := missingList(all); len(gone) > 0 {
		b.WriteString("## Not in the comparison\n\n" + list(gone))
	}
	if wrong := problemList(all); len(wrong) > 0 {
		b.WriteString("## Counts that do not add up\n\naquatic_ws and npm's trackers do not report the messages that they " +
			"drop.\n\n" + list(wrong))
	}
	b.WriteString(fullTables(all))
	return b.String()
}

// starNote explains the star of a cell.
const starNote = "A star marks a tracker whose CPU was used up or that did not follow the load: its figures are " +
	"those of its limit."

// measuredOn says when, on which commit and on which machine the figures were measured.
func measuredOn(all *results) string {
	last := len(all.environments) - 1
	e := all.environments[last]
	machine := fmt.Sprintf("%d CPUs (%s), %.0f GiB", e.CPUs, e.CPUModel, float64(e.Memory)/(1<<30))
	if e.Hypervisor {
		machine += ", a virtual machine"
	}
	kernel, _, _ := strings.Cut(e.Kernel, " ")
	return fmt.Sprintf("Measured on %s at commit %s: Linux %s, %s.", all.days[last], e.Commit, kernel, machine)
}

// where is measuredOn with a line on how to read the tables.
func where(all *results) string {
	return measuredOn(all) + " Each cell is the median over the rounds (smallest–largest, number of rounds); ratios are " +
		"taken round by round. " + starNote
}
