package tidy

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// This file owns the rules about texts: the length of README.md, live links, and plain English.

// maxReadme is the number of lines that somebody reads before deciding.
const maxReadme = 150

// TestReadmeIsShort proves that README.md stays a page for somebody who decides in a minute.
func TestReadmeIsShort(t *testing.T) {
	if n := strings.Count(readFile(t, "README.md"), "\n"); n > maxReadme {
		t.Errorf("README.md has %d lines, but at most %d are read: move details to the page that they belong to", n, maxReadme)
	}
}

// TestLinks proves that each relative link of a Markdown file leads to a file that is there, and to a heading in it.
func TestLinks(t *testing.T) {
	texts := readTexts(t, ".md")
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		for _, problem := range deadLinks(name, texts[name], texts, exists) {
			t.Error(problem)
		}
	}
	got := deadLinks("a/b.md", "# A b\n[](c.md) [](../d.md) [](#a-b) [](#c) [](https://x/y)\n[](../d.md#e_f-g) [](../d.md#h)",
		map[string]string{"d.md": "## `e_f`: g"}, func(name string) bool { return name == "d.md" })
	want := []string{"a/b.md links to c.md", "a/b.md links to #c", "a/b.md links to ../d.md#h"}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("the rule itself is wrong: %q", got)
	}
}

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	notInSlugs = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// deadLinks returns a sentence for each relative link of a Markdown file that leads nowhere. texts has the Markdown files
// in which headings are looked for.
func deadLinks(name, text string, texts map[string]string, exists func(string) bool) (problems []string) {
	for _, match := range link.FindAllStringSubmatch(text, -1) {
		target, err := url.Parse(match[1])
		if err != nil || target.Scheme != "" {
			continue
		}
		there, body := true, text
		if target.Path != "" {
			file := path.Join(path.Dir(name), target.Path)
			there, body = exists(file), texts[file]
		}
		if target.Fragment != "" && there {
			there = slices.ContainsFunc(heading.FindAllStringSubmatch(body, -1), func(h []string) bool {
				slug := notInSlugs.ReplaceAllString(strings.ToLower(h[1]), "")
				return strings.ReplaceAll(slug, " ", "-") == target.Fragment
			})
		}
		if !there {
			problems = append(problems, fmt.Sprintf("%s links to %s, which is not there", name, match[1]))
		}
	}
	return problems
}

// readTexts reads the files of the project that end in one of the suffixes, by their path from its top. Test data, and
// folders of installed and built things, are no part of it.
func readTexts(t *testing.T, suffixes ...string) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	err := filepath.WalkDir(root, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			hidden := strings.HasPrefix(base, ".") && base != ".github" && name != root
			if hidden || slices.Contains([]string{"node_modules", "bin", "testdata"}, base) {
				return filepath.SkipDir
			}
			return nil
		}
		if slices.Contains(suffixes, path.Ext(base)) {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, name)
			texts[filepath.ToSlash(rel)] = string(data)
			return err
		}
		return nil
	})
	if err != nil || len(texts) == 0 {
		t.Fatalf("cannot read the texts of the project, found %d: %v", len(texts), err)
	}
	return texts
}

// TestSentencesHaveSubjects proves that no sentence of the project uses a relative clause as its subject or object, as
// sentences do that are translated word by word. Tables that a program writes are not looked at.
func TestSentencesHaveSubjects(t *testing.T) {
	texts := readTexts(t, ".go", ".md", ".toml")
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if strings.HasPrefix(name, "bench/results/") {
			continue
		}
		for i, line := range strings.Split(texts[name], "\n") {
			if words := clause.FindString(line); words != "" {
				t.Errorf("%s:%d: %q: name the subject, such as \"a client that\" or \"the waiting bytes\"",
					name, i+1, strings.TrimSpace(words))
			}
		}
	}
	f := func(line string, want bool) {
		t.Helper()
		if clause.MatchString(line) != want {
			t.Errorf("the rule itself is wrong about %q", line)
		}
	}
	f("Who"+"ever takes it", true)
	f("and what"+"ever keeps it", true)
	f("(who"+" stays is served)", true)
	f("whatever their type", false)
	f("a client who"+" asks", false)
}

// clause matches the beginnings of such clauses. It is put together so as not to match here.
var clause = regexp.MustCompile(`(?i)(^|[^a-z])(who` + `ever|what` + `ever (keeps|is|was)|who` + ` (stays|has|is) )`)
