package config

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
)

// This file owns the step from one configuration to the next while the tracker runs.

// Next returns the configuration that a running tracker of c takes when its file has become next: the values of next, but
// those of c where the tag restart of the field or its section says that the key cannot change while it runs. changed and
// kept are the names of the keys that differ from c, in alphabetical order: those that it takes, and those that it does not.
// The error lists each contradiction between both, a line each. c and next do not change.
func (c *Config) Next(next *Config) (merged *Config, changed, kept []string, err error) {
	merged = new(Config)
	*merged = *next
	now, fields, fixed := c.fields(), merged.fields(), fixedKeys()
	for name, field := range fields {
		switch {
		case reflect.DeepEqual(field.Interface(), now[name].Interface()):
		case fixed[name]:
			kept = append(kept, name)
			field.Set(now[name])
		default:
			changed = append(changed, name)
		}
	}
	if !slices.Equal(c.Listen, next.Listen) {
		changed = append(changed, listenSection)
	}
	slices.Sort(changed)
	slices.Sort(kept)
	if len(kept) == 0 {
		return merged, changed, nil, nil // next is without contradictions
	}
	var errs []error
	for _, f := range merged.checkTogether(fields) {
		errs = append(errs, errors.New(f.sentence+": some of these keys change with a restart only"))
	}
	return merged, changed, kept, errors.Join(errs...)
}

// fixedKeys returns the keys that do not change while the tracker runs.
func fixedKeys() map[string]bool {
	fixed := make(map[string]bool)
	top := reflect.TypeFor[Config]()
	for i := range top.NumField() {
		section := top.Field(i)
		name := section.Tag.Get("toml")
		if name == "" || name == listenSection {
			continue
		}
		if !isSection(section.Type) {
			fixed[name] = section.Tag.Get("restart") != ""
			continue
		}
		for j := range section.Type.NumField() {
			key := section.Type.Field(j).Tag
			fixed[name+"."+key.Get("toml")] = cmp.Or(section.Tag.Get("restart"), key.Get("restart")) != ""
		}
	}
	return fixed
}

// FixedKeys returns the names of the keys that change with a restart only, in alphabetical order. A section all of whose
// keys are such stands for them, as in "io_uring.*".
func FixedKeys() (names []string) {
	fixed, loose := fixedKeys(), make(map[string]bool)
	for name, is := range fixed {
		if section, _, _ := strings.Cut(name, "."); !is {
			loose[section] = true
		}
	}
	for name, is := range fixed {
		section, _, inSection := strings.Cut(name, ".")
		switch {
		case !is:
		case inSection && !loose[section]:
			names = append(names, section+".*")
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
