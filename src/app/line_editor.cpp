// line_editor.cpp — libedit with a reader of our own: it knows UTF-8, signals and bracketed paste.
#include "app/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <vector>

#include "app/input.h"
#include "base/error.h"
#include "base/file.h"
#include "text/unicode.h"

namespace nautile::app {
namespace {

constexpr int kHistoryLines = 1000;
constexpr std::size_t kMaxHistoryBytes = std::size_t{16} << 20;
constexpr int kLookMilliseconds = 50;
constexpr const char* kPasteOn = "\033[?2004h";  // the terminal shall bracket what is pasted
constexpr const char* kPasteOff = "\033[?2004l";
constexpr std::wstring_view kPasteEnd = L"\033[201~";

volatile sig_atomic_t resized = 0, resumed = 0;
void mark_resized(int) {
  resized = 1;
}
void mark_resumed(int) {
  resumed = 1;
}

// A signal's handler for a scope. Without SA_RESTART, so that a wait ends.
class Handler {
 public:
  Handler(int signal, void (*function)(int)) : signal_(signal) {
    struct sigaction action = {};
    action.sa_handler = function;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, &before_);
  }
  ~Handler() { sigaction(signal_, &before_, nullptr); }
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;

 private:
  int signal_;
  struct sigaction before_ = {};
};

// libedit draws what the locale calls printable.
void want_utf8_locale() {
  if (std::setlocale(LC_CTYPE, "") != nullptr && std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
    return;
  std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

struct LineEditor::Impl {
  explicit Impl(CatchInterrupt& mark) : interrupt(mark) {}

  CatchInterrupt& interrupt;
  EditLine* editor = nullptr;
  HistoryW* history = nullptr;
  std::string history_path;
  std::string last;
  std::wstring prompt;
  std::string bytes;  // read, not yet a whole character
  bool interrupted = false;
  Handler on_resize{SIGWINCH, mark_resized};
  Handler on_resume{SIGCONT, mark_resumed};

  static Impl& of(EditLine* editor) {
    void* self = nullptr;
    el_wget(editor, EL_CLIENTDATA, &self);
    return *static_cast<Impl*>(self);
  }
  static wchar_t* prompt_of(EditLine* editor) { return of(editor).prompt.data(); }
  static int next_character(EditLine* editor, wchar_t* out) { return of(editor).next(out); }
  static unsigned char take_paste(EditLine* editor, wint_t) { return of(editor).paste(); }

  // One character -> 1; 0 at the end of input, -1 when interrupted or on an error.
  int next(wchar_t* out);
  void after_signal();
  unsigned char paste();
  void load_history();
};

void LineEditor::Impl::after_signal() {
  if (resumed != 0) {  // after Ctrl-Z and fg: the shell has set the terminal as it likes it
    resumed = 0;
    el_wset(editor, EL_PREP_TERM, 0);  // or libedit believes that its own mode still holds
    el_wset(editor, EL_PREP_TERM, 1);
    std::fputs(kPasteOn, stdout);
    el_wset(editor, EL_REFRESH);
  }
  if (resized != 0) {
    resized = 0;
    el_resize(editor);
    el_wset(editor, EL_REFRESH);
  }
}

int LineEditor::Impl::next(wchar_t* out) {
  while (true) {
    after_signal();
    if (!bytes.empty()) {
      const Utf8Step step = utf8_step(bytes);
      if (step.kind != Utf8Step::Kind::truncated) {
        *out = step.kind == Utf8Step::Kind::valid
                   ? static_cast<wchar_t>(decode_rune(bytes.data()).code)
                   : L'\uFFFD';
        bytes.erase(0, static_cast<std::size_t>(step.length));
        return 1;
      }
    }
    if (interrupt.happened()) {
      interrupt.forget();
      interrupted = true;
      return -1;
    }
    // A signal may be handled by another thread and then ends no wait of this one, so look at the
    // marks now and then.
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&input, 1, kLookMilliseconds);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    char byte = 0;
    const ssize_t count = ready < 0 ? -1 : ::read(STDIN_FILENO, &byte, 1);
    if (count == 1) {
      bytes += byte;
    } else if (count == 0) {
      return 0;
    } else if (errno != EINTR) {
      return -1;
    }
  }
}

// Called when the terminal announces a paste: everything up to its end is text.
unsigned char LineEditor::Impl::paste() {
  std::wstring text;
  wchar_t c = 0;
  while (!text.ends_with(kPasteEnd)) {
    if (next(&c) != 1) return CC_EOF;
    text += c == L'\r' ? L'\n' : c;
  }
  text.resize(text.size() - kPasteEnd.size());
  std::erase(text, L'\0');  // would end the line for libedit
  if (!text.empty() && el_winsertstr(editor, text.c_str()) == -1) return CC_ERROR;
  return CC_REFRESH;
}

void LineEditor::Impl::load_history() {
  HistEventW event;
  history_w(history, &event, H_SETSIZE, kHistoryLines);
  history_w(history, &event, H_SETUNIQUE, 1);
  if (history_path.empty()) return;
  std::vector<std::string> lines;
  try {
    const std::string text = read_file(history_path, kMaxHistoryBytes);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      if (end > at) lines.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    // The file only grows between starts; cut it here.
    if (lines.size() > 2 * kHistoryLines) {
      lines.erase(lines.begin(), lines.end() - kHistoryLines);
      std::string kept;
      for (const std::string& line : lines) kept += line + "\n";
      write_file_atomic(history_path, kept);
    }
  } catch (const Error&) {
    return;
  }
  for (const std::string& line : lines)
    history_w(history, &event, H_ENTER, wide_text(unescape_line(line)).c_str());
}

LineEditor::LineEditor(std::string history_path, CatchInterrupt& interrupt)
    : impl_(std::make_unique<Impl>(interrupt)) {
  want_utf8_locale();
  impl_->history_path = std::move(history_path);
  impl_->editor = el_init("nautile", stdin, stdout, stderr);
  impl_->history = history_winit();
  if (impl_->editor == nullptr || impl_->history == nullptr)
    fail(ErrorKind::failure, "cannot set up the terminal for editing");
  EditLine* editor = impl_->editor;
  el_wset(editor, EL_CLIENTDATA, impl_.get());
  el_wset(editor, EL_PROMPT, &Impl::prompt_of);
  el_wset(editor, EL_EDITOR, L"emacs");
  el_wset(editor, EL_HIST, history_w, impl_->history);
  el_wset(editor, EL_GETCFN, &Impl::next_character);
  el_wset(editor, EL_ADDFN, L"nautile-paste", L"Insert a paste", &Impl::take_paste);
  el_wset(editor, EL_BIND, L"\\e[200~", L"nautile-paste", nullptr);
  el_wset(editor, EL_BIND, L"^R", L"em-inc-search-prev", nullptr);
  el_wset(editor, EL_BIND, L"\\e[3~", L"ed-delete-next-char", nullptr);
  el_wset(editor, EL_BIND, L"\\e[1~", L"ed-move-to-beg", nullptr);
  el_wset(editor, EL_BIND, L"\\e[4~", L"ed-move-to-end", nullptr);
  el_wset(editor, EL_BIND, L"\\e[1;5D", L"ed-prev-word", nullptr);
  el_wset(editor, EL_BIND, L"\\e[1;5C", L"em-next-word", nullptr);
  impl_->load_history();
}

LineEditor::~LineEditor() {
  el_end(impl_->editor);
  history_wend(impl_->history);
}

LineEnd LineEditor::read(const std::string& prompt, std::string& line) {
  impl_->prompt = wide_text(prompt);
  impl_->interrupted = false;
  std::fputs(kPasteOn, stdout);
  std::fflush(stdout);
  int count = 0;
  const wchar_t* text = el_wgets(impl_->editor, &count);
  std::fputs(kPasteOff, stdout);
  line.clear();
  if (text != nullptr && count > 0) {
    line = utf8_text({text, static_cast<std::size_t>(count)});
    if (line.ends_with('\n')) line.pop_back();
    std::fflush(stdout);
    return LineEnd::line;
  }
  std::fputs("\n", stdout);
  std::fflush(stdout);
  return impl_->interrupted ? LineEnd::interrupted : LineEnd::end;
}

void LineEditor::remember(const std::string& input) {
  if (input.empty() || input == impl_->last) return;
  impl_->last = input;
  HistEventW event;
  history_w(impl_->history, &event, H_ENTER, wide_text(input).c_str());
  if (impl_->history_path.empty()) return;
  const int fd =
      ::open(impl_->history_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  const std::string record = escape_line(input) + "\n";
  // One write, so that two chats at once do not mix their lines; a lost one is no harm.
  if (::write(fd, record.data(), record.size()) < 0) impl_->history_path.clear();
  ::close(fd);
}

}  // namespace nautile::app
