package config

import "fmt"

// This file owns the enumerations and the words that stand for their values in the file.

// Tri says how an optional kernel feature is chosen.
type Tri uint8

const (
	Auto    Tri = iota // use it where the kernel has it
	Off                // do without it
	Require            // refuse to start where the kernel does not have it
)

// LogLevel is the least important level that is logged. A level includes all levels before it.
type LogLevel uint8

const (
	LogOff LogLevel = iota // nothing is logged
	LogError
	LogWarn
	LogInfo
	LogDebug
	LogTrace
)

// AccessListMode is the use of the list of info hashes.
type AccessListMode uint8

const (
	AccessListOff   AccessListMode = iota // every torrent is served
	AccessListAllow                       // only the torrents in the list are served
	AccessListDeny                        // the torrents in the list are not served
)

// Compression says whether messages are compressed.
type Compression uint8

const (
	CompressionOff  Compression = iota // they are not
	CompressionAuto                    // with clients that offer it, while there is CPU to spare
)

// The words of the configuration file, each at the index of its constant.
var (
	triWords        = []string{"auto", "off", "require"}
	logLevelWords   = []string{"off", "error", "warn", "info", "debug", "trace"}
	accessListWords = []string{"off", "allow", "deny"}

	compressionWords = []string{"off", "auto"}
)

// String returns the word that stands for t in the file.
func (t Tri) String() string { return word(triWords, uint8(t)) }

// String returns the word that stands for l in the file.
func (l LogLevel) String() string { return word(logLevelWords, uint8(l)) }

// String returns the word that stands for m in the file.
func (m AccessListMode) String() string { return word(accessListWords, uint8(m)) }

// String returns the word that stands for c in the file.
func (c Compression) String() string { return word(compressionWords, uint8(c)) }

// word returns words[i]. A value without a word gets a text that no file may contain.
func word(words []string, i uint8) string {
	if int(i) >= len(words) {
		return fmt.Sprintf("invalid(%d)", i)
	}
	return words[i]
}
