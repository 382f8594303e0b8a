#include "server/page_files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/beast/zlib/inflate_stream.hpp>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

namespace nautile::server {
namespace {

// The file's text, after RFC 1952: a head of ten bytes, deflate, the sum and the length.
std::string text_of(const PageFile& file) {
  const std::string bytes(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
  if (file.encoding.empty()) return bytes;
  EXPECT_TRUE(bytes.size() > 18 && bytes.starts_with(std::string("\x1f\x8b\x08\0", 4)));
  std::string text(1 << 22, '\0');
  boost::beast::zlib::z_params zs;
  zs.next_in = bytes.data() + 10;
  zs.avail_in = bytes.size() - 18;
  zs.next_out = text.data();
  zs.avail_out = text.size();
  boost::beast::zlib::inflate_stream stream;
  boost::system::error_code error;
  stream.write(zs, boost::beast::zlib::Flush::sync, error);
  EXPECT_EQ(error, boost::beast::zlib::error::end_of_stream) << file.path;
  text.resize(zs.total_out);
  return text;
}

TEST(PageFiles, HoldTheBytesOfTheTree) {
  for (const auto& [path, name] : {std::pair{"/", "index.html"},
                                   {"/page/app.js", "app.js"},
                                   {"/page/layout.css", "layout.css"}}) {
    const PageFile* file = find_page_file(path);
    ASSERT_NE(file, nullptr) << path;
    std::ifstream stream(std::string("src/server/page/") + name, std::ios::binary);
    EXPECT_EQ(text_of(*file), std::string(std::istreambuf_iterator<char>(stream), {})) << path;
  }
  EXPECT_EQ(find_page_file("/page/none.js"), nullptr);
  EXPECT_EQ(find_page_file(""), nullptr);
}

TEST(PageFiles, AreSortedTypedAndTagged) {
  const auto files = page_files();
  EXPECT_TRUE(std::ranges::is_sorted(files, {}, &PageFile::path));
  for (const PageFile& file : files) {
    EXPECT_EQ(find_page_file(file.path), &file);
    EXPECT_FALSE(file.content_type.empty()) << file.path;
    EXPECT_TRUE(file.etag.starts_with('"') && file.etag.ends_with('"')) << file.etag;
    EXPECT_FALSE(file.bytes.empty()) << file.path;
  }
  EXPECT_EQ(find_page_file("/")->content_type, "text/html; charset=utf-8");
  EXPECT_EQ(find_page_file("/page/app.js")->content_type, "text/javascript; charset=utf-8");
}

// What the policy forbids must not be in the page: it would silently do nothing.
TEST(PageFiles, PageHasNothingInline) {
  const std::string page = text_of(*find_page_file("/"));
  EXPECT_EQ(page.find("<style"), std::string::npos);
  EXPECT_EQ(page.find("style="), std::string::npos);
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_FALSE(std::regex_search(page, std::regex(" on[a-z]+ *=")));
  for (const char* word : {"unsafe-inline", "unsafe-eval", "*", "http"}) {
    EXPECT_EQ(kContentSecurityPolicy.find(word), std::string_view::npos) << word;
  }
}

TEST(PageFiles, OwnFilesAreFewBytes) {
  std::size_t own = 0;
  for (const PageFile& file : page_files()) {
    if (!file.path.starts_with("/page/vendor/")) own += file.bytes.size();
  }
  EXPECT_LE(own, 60u * 1024);
}

TEST(PageFiles, KnowTheTagsOfIfNoneMatch) {
  const PageFile file{"/", "text/html", "", {}, "\"abc\""};
  for (const char* known : {"\"abc\"", "W/\"abc\"", "*", "\"x\", \"abc\"", " \"x\",\t\"abc\" ,"}) {
    EXPECT_TRUE(page_is_known(file, known)) << known;
  }
  for (const char* other : {"", "abc", "\"ab\"", "\"abcd\"", ",", " , ", "W/", "\"x\",\"y\""}) {
    EXPECT_FALSE(page_is_known(file, other)) << other;
  }
}

TEST(PageFiles, HeadersCarryPolicyAndTag) {
  const PageFile& file = *find_page_file("/");
  const Headers headers = page_headers(file);
  const auto value = [&](std::string_view name) -> std::string {
    for (const auto& [key, text] : headers) {
      if (key == name) return text;
    }
    return "";
  };
  EXPECT_EQ(value("Content-Security-Policy"), kContentSecurityPolicy);
  EXPECT_EQ(value("ETag"), file.etag);
  EXPECT_EQ(value("X-Content-Type-Options"), "nosniff");
}

}  // namespace
}  // namespace nautile::server
