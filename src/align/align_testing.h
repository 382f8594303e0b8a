// align_testing.h — a tokenizer of bytes and a chat format of lines, for tests.
#pragma once

#include <memory>

#include "text/chat_format.h"
#include "text/tokenizer_testing.h"

namespace nautile::align::testing {

// <s> begins a chat, </s> ends an answer.
inline Tokenizer byte_tokenizer() {
  return load(small_tokenizer(std::vector<std::pair<std::string, std::string>>{}),
              {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
}

inline std::unique_ptr<ChatFormat> line_format() {
  return make_template_format(
      "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}"
      "assistant:{{ m['content'] }}{{ eos_token }}{% else %}{{ m['role'] }}:{{ m['content'] }}\n"
      "{% endif %}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
      {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
}

}  // namespace nautile::align::testing
