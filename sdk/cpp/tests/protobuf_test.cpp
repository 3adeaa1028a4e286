// MessageType::protobuf<T>() of a class that protoc generated, beside the way over a descriptor set.
#include <fstream>
#include <iterator>
#include <remote_data_loader_backend.hpp>

#include "check.hpp"
#include "drive.pb.h"

namespace rdl = remote_data_loader_backend;

int main(int, char **arguments) {
  std::ifstream file(arguments[1], std::ios::binary);
  std::string descriptors{std::istreambuf_iterator<char>(file), {}};
  auto of_set = rdl::MessageType::protobuf("drive.Pose", descriptors);
  auto of_class = rdl::MessageType::protobuf<drive::Pose>();
  auto schema = of_class.schema();
  CHECK(schema && schema->name == "drive.Pose" && schema->encoding == "protobuf");
  EQUAL(of_class.encoding(), "protobuf");

  // What the message needs, and nothing else: protoc keeps json_name, a class does not.
  google::protobuf::FileDescriptorSet set, other;
  CHECK(set.ParseFromString(schema->data) && other.ParseFromString(of_set.schema()->data));
  EQUAL(set.file_size(), 2);
  EQUAL(set.file(0).name(), "google/protobuf/timestamp.proto");
  EQUAL(set.file(1).name(), "drive.proto");
  EQUAL(other.file_size(), 2);
  EQUAL(other.file(1).message_type(0).field_size(), set.file(1).message_type(0).field_size());
  REFUSED("no-such-message", rdl::MessageType::protobuf("drive.Nose", descriptors));

  rdl::ChannelSet channels;
  auto pose = channels.add("/pose", of_class);
  rdl::BodyWriter body(channels);
  drive::Pose message;
  message.set_x(1.5);
  body.write_with(pose, 1, [&](std::string &buffer) { message.AppendToString(&buffer); });
  body.finish();
  std::cout << "protobuf_test: all is well" << std::endl;
}
